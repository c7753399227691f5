"""Programs of Debian that were measured last: nothing in hardener was changed for them."""

from __future__ import annotations

from bench.workloads.catalogue import Workload
from bench.workloads.ordinary import OUT_OF_MEMORY, SHELL, START, full_disk, hang_up, inside, signal

_BASE = "FROM workloads:strangers\nCOPY attack /attack\n"
# Sends a mail to the user `visitor`.
_SEND = """python3 -c 'import os, smtplib
host, port = os.environ["HARDENER_ADDR_25"].rsplit(":", 1)
with smtplib.SMTP(host, int(port), timeout=20) as mail:
    mail.sendmail("a@b.test", ["visitor@mail.test"], "Subject: here\\n\\nhere")'"""
_LOG_IN = """python3 -c 'import imaplib, os, sys
host, port = os.environ["HARDENER_ADDR_143"].rsplit(":", 1)
with imaplib.IMAP4(host, int(port), timeout=20) as mail:
    mail.login("visitor", sys.argv[1])
    assert mail.select()[0] == "OK"
    for each in sys.argv[2:]:
        assert eval(each)[0] == "OK"' """
# A client of IRC: the nick, then lines to send, then the text that an answer has to contain.
_CHAT = """python3 -c 'import os, socket, sys
host, port = os.environ["HARDENER_ADDR_6667"].rsplit(":", 1)
with socket.create_connection((host, int(port)), timeout=60) as chat:
    chat.sendall(f"NICK {sys.argv[1]}\\r\\nUSER a 0 * a\\r\\n".encode())
    heard = b""
    while b" 001 " not in heard:
        heard += (part := chat.recv(4096))
        assert part
    for each in sys.argv[2:-1]:
        chat.sendall(f"{each}\\r\\n".encode())
    while sys.argv[-1].encode() not in heard:
        heard += (part := chat.recv(4096))
        assert part' """


def _retried(command: str) -> str:
    return f"for _ in $(seq 20); do {command} 2>/dev/null && exit; sleep 1; done; exit 1"


def _stranger(name: str, dockerfile: str, command: str, operations: dict[str, str]) -> Workload:
    return Workload(
        name=name,
        dockerfile=_BASE + dockerfile,
        command=_retried(command),
        base="strangers",
        operations={**operations, **SHELL, **START, **OUT_OF_MEMORY},
    )


ALL = (
    _stranger(
        "dovecot",
        r"""RUN useradd --create-home --shell /bin/sh visitor && echo visitor:visitor | chpasswd && \
    printf '%s\n' 'auth_allow_cleartext = yes' 'mail_driver = maildir' 'mail_path = ~/Maildir' \
    'mail_inbox_path = ~/Maildir' 'log_path = /dev/stderr' 'ssl = no' >/etc/dovecot/local.conf
EXPOSE 143
CMD ["dovecot", "-F"]
""",
        f"{_LOG_IN} visitor",
        {
            **hang_up(143),
            "a mail is stored": f"""{_LOG_IN} visitor 'mail.append("INBOX", "", None, b"Subject: a")'""",
            "a mail is searched": f"""{_LOG_IN} visitor 'mail.search(None, "ALL")'""",
            "a mail is removed": f"""{_LOG_IN} visitor 'mail.store("1", "+FLAGS", r"(\\Deleted)")' """
            "'mail.expunge()'",
            "a folder is made and renamed": f"{_LOG_IN} visitor"
            """ 'mail.create("b")' 'mail.rename("b", "c")' 'mail.delete("c")'""",
            "60 clients": f"seq 60 | xargs -P 60 -I {{}} {_LOG_IN} visitor",
            "a wrong password": f"! {_LOG_IN} wrong",
            **inside("users by a command", "doveadm user visitor"),
            **inside("reload by a command", "doveadm reload"),
            **inside("log rotation by a command", "doveadm log reopen"),
            **inside("sessions by a command", "doveadm who"),
            **signal("reload by a signal", "HUP"),
        },
    ),
    _stranger(
        "exim",
        r"""RUN useradd --create-home visitor && printf '%s\n' 'primary_hostname = mail.test' \
    'smtp_accept_max = 100' 'acl_smtp_rcpt = check' 'begin acl' 'check:' '  accept' \
    'begin routers' 'local:' '  driver = accept' \
    '  domains = mail.test' '  check_local_user' '  transport = box' 'others:' '  driver = dnslookup' \
    '  transport = smtp' 'begin transports' 'box:' '  driver = appendfile' \
    '  file = /var/mail/$local_part_data' '  group = mail' '  mode = 0660' 'smtp:' '  driver = smtp' \
    'begin retry' '* * F,2h,15m' >/etc/exim4/exim4.conf
VOLUME /var/spool/exim4
EXPOSE 25
CMD ["exim4", "-bdf", "-q30m"]
""",
        _SEND,
        {
            **hang_up(25),
            "60 clients": f"seq 60 | xargs -P 60 -I {{}} {_SEND}",
            "a mail arrives": f"""{_SEND} && sleep 5 && docker exec "$NAME" grep here /var/mail/visitor""",
            "a mail from inside": 'docker exec "$NAME" sh -c '
            '"echo inside | exim4 visitor@mail.test" && sleep 5 &&'
            ' docker exec "$NAME" grep inside /var/mail/visitor',
            "names cannot be resolved": 'docker exec "$NAME" sh -c "echo | exim4 a@b.example" && sleep 10 &&'
            ' docker exec "$NAME" exim4 -bp',
            **inside("the queue is run", "exim4 -qff"),
            **inside("configuration test", "exim4 -bV"),
            **inside("log rotation", "mv /var/log/exim4/mainlog /var/log/exim4/mainlog.1"),
            **signal("reload by a signal", "HUP"),
            **full_disk("/var/log/exim4", f"{_SEND}; sleep 2"),
        },
    ),
    _stranger(
        "ngircd",
        r"""RUN printf '%s\n' '[Global]' 'Name = irc.test' 'Info = here' 'AdminInfo1 = a' \
    'MotdPhrase = here' '[Limits]' 'MaxConnectionsIP = 0' '[Options]' 'PAM = no' '[Operator]' \
    'Name = o' 'Password = o' >/etc/ngircd/ngircd.conf
EXPOSE 6667
CMD ["ngircd", "-n"]
""",
        f"{_CHAT} smoke ' 376 '",
        {
            **hang_up(6667),
            "100 clients": f"seq 100 | xargs -P 100 -I {{}} {_CHAT} 'n{{}}' 'JOIN #a' JOIN",
            "a message to another": f"({_CHAT} hears 'JOIN #b' PRIVMSG) & sleep 3;"
            f" {_CHAT} says 'JOIN #b' 'PRIVMSG #b :hello' JOIN && wait",
            "reload by an operator": f"{_CHAT} opers 'OPER o o' REHASH ' 382 '",
            **inside("configuration test", "ngircd --configtest </dev/null"),
            **signal("reload by a signal", "HUP"),
        },
    ),
)
