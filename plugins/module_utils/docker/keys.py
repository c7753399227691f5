"""Define the keys of daemon.json and the flags of dockerd: one table for all readers and writers.

It covers dockerd 19.03 to 29.8. A new key needs only a new line here.
"""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping, Sequence
    from typing import Any

if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any

# key: as it stands in daemon.json; "-" where only the command line has it
# flag: its name without the dashes; "=" where it is the key's, "-" where only daemon.json has it
# type: of the key's value. A bool is a switch, whose flag takes no word after it; a list and a dict are given
#       on the command line by a flag that is repeated
# since, until: the first and the last version that knows it; "-" for 19.03 or older, and for still there
# default: what applies where the key is not set; "-" where that is nothing, or depends on the host
# reload: "reload" where the engine reads the key on SIGHUP as long as it is in the file (daemon/reload.go).
#         The authorisation plugins are left out although it reads them: it exits if one does not answer
_TABLE = """
allow-direct-routing              =                              bool  28.2   -      -                -
allow-nondistributable-artifacts  =                              list  -      28.5   -                -
api-cors-header                   =                              str   -      28.5   -                -
apparmor-profile                  =                              str   29.8   -      -                -
authorization-plugins             authorization-plugin           list  -      -      -                -
bip                               =                              str   -      -      -                -
bip6                              =                              str   28.0   -      -                -
bridge                            =                              str   -      -      -                -
bridge-accept-fwmark              =                              str   29.0   -      -                -
builder                           -                              dict  -      -      -                -
cdi-spec-dirs                     cdi-spec-dir                   list  25.0   -      -                -
cgroup-parent                     =                              str   -      -      -                -
cluster-advertise                 =                              str   -      23.0   -                -
cluster-store                     =                              str   -      23.0   -                -
cluster-store-opts                cluster-store-opt              dict  -      23.0   -                -
-                                 config-file                    str   -      -      -                -
containerd                        =                              str   -      -      -                -
containerd-namespace              =                              str   20.10  -      -                -
containerd-plugin-namespace       containerd-plugins-namespace   str   20.10  -      -                -
cpu-rt-period                     =                              int   -      -      -                -
cpu-rt-runtime                    =                              int   -      -      -                -
cri-containerd                    =                              bool  -      -      -                -
data-root                         =                              str   -      -      /var/lib/docker  -
debug                             =                              bool  -      -      false            reload
default-address-pools             default-address-pool           list  -      -      -                -
default-cgroupns-mode             =                              str   20.10  -      -                -
default-gateway                   =                              str   -      -      -                -
default-gateway-v6                =                              str   -      -      -                -
default-ipc-mode                  =                              str   -      -      -                -
default-network-opts              default-network-opt            dict  24.0   -      -                -
default-runtime                   =                              str   -      -      -                -
default-shm-size                  =                              any   -      -      -                -
default-stop-timeout              =                              int   29.7   -      -                -
default-ulimits                   default-ulimit                 dict  -      -      -                -
deprecated-key-path               -                              str   -      -      -                -
-                                 disable-legacy-registry        bool  -      18.09  -                -
dns                               =                              list  -      -      -                -
dns-opts                          dns-opt                        list  -      -      -                -
dns-search                        =                              list  -      -      -                -
exec-opts                         exec-opt                       list  -      -      -                -
exec-root                         =                              str   -      -      -                -
experimental                      =                              bool  -      -      false            -
features                          feature                        dict  -      -      -                -
firewall-backend                  =                              str   29.0   -      -                -
fixed-cidr                        =                              str   -      -      -                -
fixed-cidr-v6                     =                              str   -      -      -                -
graph                             =                              str   -      23.0   -                -
group                             =                              str   -      -      docker           -
-                                 help                           bool  -      -      -                -
host-gateway-ip                   =                              str   20.10  -      -                -
host-gateway-ips                  host-gateway-ip                list  28.0   -      -                -
hosts                             host                           list  -      -      -                -
-                                 http-proxy                     str   23.0   -      -                -
-                                 https-proxy                    str   23.0   -      -                -
icc                               =                              bool  -      -      true             -
init                              =                              bool  -      -      -                -
init-path                         =                              str   -      -      -                -
insecure-registries               insecure-registry              list  -      -      -                reload
ip                                =                              str   -      -      -                -
ip-forward                        =                              bool  -      -      -                -
ip-forward-no-drop                =                              bool  28.0   -      -                -
ip-masq                           =                              bool  -      -      -                -
ip6tables                         =                              bool  20.10  -      true             -
iptables                          =                              bool  -      -      true             -
ipv6                              =                              bool  -      -      -                -
labels                            label                          list  -      -      -                reload
live-restore                      =                              bool  -      -      false            reload
log-driver                        =                              str   -      -      json-file        -
log-format                        =                              str   25.0   -      -                -
log-level                         =                              str   -      -      info             -
log-opts                          log-opt                        dict  -      -      -                -
max-concurrent-downloads          =                              int   -      -      3                reload
max-concurrent-uploads            =                              int   -      -      5                reload
max-download-attempts             =                              int   20.10  -      5                reload
metrics-addr                      =                              str   -      -      -                -
min-api-version                   -                              str   29.0   -      -                -
mtu                               =                              int   -      -      -                -
network-control-plane-mtu         =                              int   -      -      -                -
network-diagnostic-port           =                              int   -      -      -                -
no-new-privileges                 =                              bool  -      -      false            -
-                                 no-proxy                       str   23.0   -      -                -
node-generic-resources            node-generic-resource          list  -      -      -                -
nri-opts                          =                              dict  29.2   -      -                -
oom-score-adjust                  =                              int   -      25.0   -                -
pidfile                           =                              str   -      -      -                -
proxies                           -                              dict  23.0   -      -                -
raw-logs                          =                              bool  -      -      -                -
registry-mirrors                  registry-mirror                list  -      -      -                reload
-                                 restart                        bool  -      -      -                -
rootless                          =                              bool  -      -      -                -
runtimes                          add-runtime                    dict  -      -      -                -
seccomp-profile                   =                              str   -      -      -                -
selinux-enabled                   =                              bool  -      -      -                -
shutdown-timeout                  =                              int   -      -      15               reload
storage-driver                    =                              str   -      -      -                -
storage-opts                      storage-opt                    list  -      -      -                -
swarm-default-advertise-addr      =                              str   -      -      -                -
tls                               =                              bool  -      -      -                -
tlscacert                         =                              str   -      -      -                -
tlscert                           =                              str   -      -      -                -
tlskey                            =                              str   -      -      -                -
tlsverify                         =                              bool  -      -      -                -
userland-proxy                    =                              bool  -      -      true             -
userland-proxy-path               =                              str   -      -      -                -
userns-remap                      =                              str   -      -      -                -
-                                 validate                       bool  23.0   -      -                -
-                                 version                        bool  -      -      -                -
"""
# Short flags.
SHORT = {
    "b": "bridge",
    "D": "debug",
    "G": "group",
    "g": "graph",
    "H": "host",
    "h": "help",
    "l": "log-level",
    "p": "pidfile",
    "r": "restart",
    "s": "storage-driver",
    "v": "version",
}
# The only keys allowed on the command line and in the file at once: the engine joins them.
_JOINED = ("runtimes",)
# Values that Go's strconv.ParseBool accepts, with which the flags are parsed.
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_BOOLEANS.update(dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False))
# A process's start is known in ticks since the boot, whose time is known in seconds.
_CLOCKS_DIFFER_BY = 2
DEFAULT_PATH = "/etc/docker/daemon.json"  # of the file, unless the command line names another one
FILE = "file"  # origin of a value in daemon.json; the origin of a command line value is ``--flag``
# True is a number in Python, but not to the engine: types are tried in this order.
_TYPES: Mapping[str, type] = {"bool": bool, "int": int, "str": str, "list": list, "dict": dict}
_SPOKEN = {
    "bool": "true or false",
    "int": "a number",
    "str": "a string",
    "list": "a list",
    "dict": "an object",
}
# Default folders of the engine.
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
NRI_FOLDERS = {
    "plugin-path": "/usr/libexec/docker/nri-plugins",
    "plugin-config-path": "/etc/docker/nri/conf.d",
}
NRI_SOCKET = "socket-path"


class Key:
    """One entry of the table; ``name`` or ``flag`` is empty if the setting has none."""

    __slots__ = ("default", "flag", "kind", "name", "reloadable", "since", "until")

    def __init__(self, line: str) -> None:
        name, flag, self.kind, since, until, default, reload = line.split()
        self.name = "" if name == "-" else name
        self.flag = name if flag == "=" else "" if flag == "-" else flag
        self.since = "" if since == "-" else since
        self.until = "" if until == "-" else until
        self.default: Any = None if default == "-" else self.read([default])
        self.reloadable = reload == "reload"

    @property
    def is_switch(self) -> bool:
        """Return whether the flag needs no value."""
        return self.kind == "bool"

    @property
    def is_list(self) -> bool:
        """Return whether the flag is given once for each entry of the key's value."""
        return self.kind in ("list", "dict")

    def read(self, words: Sequence[str]) -> Any:
        """Return the value of the key from its flag's arguments: all of them for a list, else the last.

        A word that dockerd would refuse stays a text.
        """
        if self.is_list:
            return list(words)
        last = words[-1]
        if self.is_switch:
            return boolean(last, last)
        is_number = self.kind == "int" and last.isascii() and last.isdigit() and len(last) < 16
        return int(last) if is_number else last

    def in_version(self, version: tuple[int, ...]) -> bool:
        """Return whether an engine of this version knows the key."""
        return (not self.since or _number(self.since) <= version[:2]) and (
            not self.until or version[:2] <= _number(self.until)
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def boolean(word: str, otherwise: Any = None) -> Any:
    """Parse a boolean as the engine does; return ``otherwise`` for a word that the engine refuses."""
    return _BOOLEANS.get(word, otherwise)


KEYS = tuple(Key(line) for line in _TABLE.strip().splitlines())
BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS if key.name}
# Flags of keys with another name: dockerd accepts the flag's name in the file, and ignores it.
_OTHERWISE = frozenset(key.flag for key in KEYS if key.flag and key.name and key.name != key.flag)
SWITCHES = frozenset(key.flag for key in KEYS if key.flag and key.is_switch)
WITH_VALUE = frozenset(key.flag for key in KEYS if key.flag and not key.is_switch)
# The keys that an engine reads on a reload, with the values that give an unset key its default.
RELOADABLE: Mapping[str, Any] = {
    key.name: [] if key.is_list else key.default for key in KEYS if key.reloadable
}


def default_of(key: str) -> Any:
    """Return the value that applies if a key is not set; None if there is no such value or it is unknown."""
    known = BY_NAME.get(key)
    return known.default if known else None


def flag_of(key: str) -> str:
    """Return the flag that sets a key; for an unknown key, its own name."""
    known = BY_NAME.get(key)
    return known.flag if known else key


def exclusive_flag(key: str) -> str:
    """Return the flag that conflicts with a key; empty if both may be set."""
    return "" if key in _JOINED or (key in _OTHERWISE and key not in BY_NAME) else flag_of(key)


def declared(file: Mapping[str, Any], flags: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Return the declared settings by key: ``{"icc": {"value": False, "origin": "--icc"}}``.

    Args:
        file: the parsed daemon.json.
        flags: the flags of the command line with their words, as ``flags.parse`` gives them.
    """
    inner = {name: boolean(_spelled(value), value) for name, value in _grouped(file) if name in SWITCHES}
    found = {name: {"value": value, "origin": FILE} for name, value in {**inner, **file}.items()}
    for key in KEYS:
        if key.name and flags.get(key.flag):
            found[key.name] = {"value": key.read(flags[key.flag]), "origin": f"--{key.flag}"}
    return found


def _grouped(file: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the entries of objects in the file that are not the value of a known key.

    The engine takes them for keys: it sets the switches among them, and ignores the others
    (daemon/config/config.go, configValuesSet).
    """
    groups = [value for name, value in file.items() if not (name in BY_NAME and BY_NAME[name].kind == "dict")]
    return [entry for group in groups if isinstance(group, dict) for entry in group.items()]


def _spelled(value: Any) -> str:
    """Return a value as Go prints it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_of(key: str, file: Mapping[str, Any], flags: Mapping[str, Sequence[str]]) -> Any:
    """Return the declared value of one key; None if it is not declared."""
    return (declared(file, flags).get(key) or {}).get("value")


def changed_since(started: float | None, modified: float | None) -> bool:
    """Return whether daemon.json was changed after the start of the engine, which may use earlier values.

    Args:
        started: when the engine's process started, in seconds since the epoch; None if that is unknown.
        modified: when the file was changed; None if there is none.
    """
    return bool(started and modified and modified > started + _CLOCKS_DIFFER_BY)


def conflicts(file: Mapping[str, Any], flags: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the keys that are set in daemon.json and by a flag: dockerd refuses to start with them."""
    names = [*file, *(name for name, _value in _grouped(file))]
    return [name for name in dict.fromkeys(names) if exclusive_flag(name) in flags]


def unknown_before(key: str, version: str) -> str:
    """Return the version that introduced a key, if the engine is older; else empty."""
    known = BY_NAME.get(key)
    numbers = version.partition("+")[0].partition("-")[0].split(".")[:2]
    if known is None or not known.since or not all(number.isdigit() for number in numbers):
        return ""
    return known.since if tuple(int(number) for number in numbers) < _number(known.since) else ""


def problem_before_23(config: Mapping[str, Any]) -> str:
    """Return the first key that engine 20.10 does not know or whose type is wrong; empty if all are valid.

    From 23.0 on the engine can validate a file. With older ones, an error is noticed only when the daemon
    does not start.
    """
    for name, value in config.items():
        key = BY_NAME.get(name)
        if key is None or not key.in_version((20, 10)):
            return f"this engine does not know the key {name}"
        found = next((kind for kind, known in _TYPES.items() if isinstance(value, known)), "")
        if key.kind in _TYPES and found != key.kind:
            return f"{name} has to be {_SPOKEN[key.kind]}"
    return ""


def nri_options(value: Any) -> Mapping[str, Any] | None:
    """Parse the declared ``nri-opts``: an object, or the words of a flag (``enable=true,socket-path=/x``).

    Returns:
        The options; empty where nothing is declared, None where it is neither.
    """
    if isinstance(value, list):
        return dict(word.partition("=")[::2] for text in value for word in str(text).split(","))
    if value is None or isinstance(value, dict):
        return value or {}
    return None
