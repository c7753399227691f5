"""Run hardener at regular times: a systemd timer, or a crontab line.

    Systemd.here().install(job, Times(calendar="daily", jitter="1h"))
    cron_line(job, "17 3 * * *")

systemd runs a unit once at a time, and the crontab line takes a lock; other runs over the same inventory wait
for each other (``hardener.history``).
"""

from hardener.schedule.job import Job, cron_line
from hardener.schedule.systemd import Scheduled, Systemd
from hardener.schedule.units import Times

__all__ = ["Job", "Scheduled", "Systemd", "Times", "cron_line"]
