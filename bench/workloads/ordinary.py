"""Commands of ordinary operations, which exercises do not contain.

A command runs in a shell on this machine. Its environment has the name of the container (``NAME``), the
addresses of its ports as an exercise has them, and the folder of clients (``CLIENTS``).
"""

from __future__ import annotations

_PID = 'P=$(docker inspect --format {{.State.Pid}} "$NAME")'
SHELL = {"shell": 'docker exec "$NAME" sh -c "ls / >/dev/null"'}
WORKER_CRASHES = {"a worker crashes": f'{_PID}; kill -9 "$(pgrep -n -P "$P")" && sleep 2'}  # the newest one
# A program of an exec takes the memory, and the kernel kills the first process.
OUT_OF_MEMORY = {
    "out of memory and start": f"""{_PID}; echo 1000 >"/proc/$P/oom_score_adj"
        docker update --memory 600m --memory-swap 600m "$NAME" || exit 1; docker exec "$NAME" tail /dev/zero
        [ "$(docker inspect --format {{{{.State.OOMKilled}}}} "$NAME")" = true ] &&
        docker update --memory 8g --memory-swap 8g "$NAME" && docker start "$NAME" && sleep 2"""
}
START = {
    "stop and start": 'docker stop "$NAME" && docker start "$NAME" && sleep 2',
    "crash and start": 'docker kill "$NAME" && docker start "$NAME" && sleep 2',
}
GET = r"GET / HTTP/1.0\r\n\r\n"


def clients(port: int, said: str, *, most: int = 200) -> dict[str, str]:
    """Return operations of many clients, of a slow one, and of those that hang up.

    Args:
        port: of the container.
        said: what each says, with escapes; each but those that hang up waits for an answer.
        most: how many come at once.
    """
    many = f'"$CLIENTS/many" "$HARDENER_ADDR_{port}"'
    return {
        f"{most} clients": f"{many} together '{said}' {most}",
        "a slow client": f"{many} slowly '{said}'",
        **hang_up(port, said),
    }


def hang_up(port: int, said: str = "x") -> dict[str, str]:
    """Return the operation of clients that hang up after they have said something."""
    return {"clients that hang up": f'"$CLIENTS/many" "$HARDENER_ADDR_{port}" away \'{said}\' 20'}


def inside(name: str, command: str) -> dict[str, str]:
    """Return the operation of a program that `docker exec` starts."""
    return {name: f'docker exec "$NAME" {command}'}


def signal(name: str, signal: str) -> dict[str, str]:
    """Return the operation of a signal to the container's first process."""
    return {name: f'docker kill --signal {signal} "$NAME" && sleep 2'}


def full_disk(folder: str, command: str) -> dict[str, str]:
    """Return the operation of a command, which may fail, while a folder has no space left."""
    enter = 'nsenter --mount --pid --target "$P"'
    return {
        "full disk": f"""{_PID}; {enter} mount -t tmpfs -o size=4k,mode=1777 none {folder} || exit 1
        {enter} sh -c 'cat /dev/zero >{folder}/full'; {command}; {enter} umount --lazy {folder}"""
    }
