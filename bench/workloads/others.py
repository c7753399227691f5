"""Eighteen programs of Debian with small settings, beside the ten workloads."""

from __future__ import annotations

from bench.workloads.catalogue import CLIENTS, Workload
from bench.workloads.ordinary import (
    GET,
    OUT_OF_MEMORY,
    SHELL,
    START,
    WORKER_CRASHES,
    clients,
    full_disk,
    hang_up,
    inside,
    signal,
)

_BASE = "FROM workloads:others\nCOPY attack /attack\n"
_READY = "--retry 30 --retry-all-errors --retry-delay 1"
_WEB = f'curl -fsS --max-time 20 {_READY} "http://$HARDENER_ADDR_{{}}/" | grep -q here'
_SORT = """mariadb --skip-ssl -h "${HARDENER_ADDR_3306%:*}" -u test t -e 'set sort_buffer_size = 32768;
    select count(*) from (select a.seq from seq_1_to_300000 a order by rand() limit 200000) x' """


def _netcat(port: int) -> str:
    """Return the command that connects its standard input to a port of the container."""
    return f'busybox nc -w 5 "${{HARDENER_ADDR_{port}%:*}}" "${{HARDENER_ADDR_{port}#*:}}"'


def _at_once(count: int, command: str) -> str:
    """Return the command that runs another one many times at once."""
    return f"seq {count} | xargs -P {count} -I {{}} {command}"


def _other(name: str, dockerfile: str, command: str, operations: dict[str, str], *files: str) -> Workload:
    return Workload(
        name=name,
        dockerfile=_BASE + dockerfile,
        command=command,
        files=files,
        base="others",
        operations={**operations, **SHELL, **START, **OUT_OF_MEMORY},
    )


ALL = (
    _other(
        "memcached",
        'EXPOSE 11211\nCMD ["memcached", "-u", "nobody"]\n',
        rf"printf 'set a 0 0 1\r\n1\r\nget a\r\nquit\r\n' | {_netcat(11211)} | grep -q VALUE",
        {
            **clients(11211, r"version\r\n"),
            "statistics": rf"printf 'stats\r\nquit\r\n' | {_netcat(11211)} | grep -q STAT",
            "a large value": r"(printf 'set b 0 0 500000\r\n'; head -c 500000 /dev/zero;"
            r" printf '\r\nquit\r\n')"
            rf" | {_netcat(11211)} | grep -q STORED",
        },
    ),
    _other(
        "mariadb",
        """COPY mariadb-entrypoint /
RUN rm -r /var/lib/mysql && mkdir /var/lib/mysql
VOLUME /var/lib/mysql
EXPOSE 3306
ENTRYPOINT ["/mariadb-entrypoint"]
CMD ["mariadbd", "--user=mysql", "--bind-address=0.0.0.0"]
""",
        'M="mariadb --skip-ssl -h ${HARDENER_ADDR_3306%:*} -P ${HARDENER_ADDR_3306#*:} -u test"; '
        "for _ in $(seq 60); do $M -e 'select 1' >/dev/null 2>&1 && break; sleep 0.5; done; "
        "$M -e 'create database if not exists t; use t; create table if not exists t (n int);"
        " insert into t values (1);"
        " select count(*) from t'",
        {
            "100 clients": _at_once(
                100, 'mariadb --skip-ssl -h "${HARDENER_ADDR_3306%:*}" -u test -e "select sleep(2)"'
            ),
            **hang_up(3306),
            **inside("client in the container", "mariadb -e 'select 1'"),
            **inside("backup", "mariadb-dump --all-databases >/dev/null"),
            **signal("log rotation by a signal", "HUP"),
            "a large sort": _SORT,
            **full_disk("/tmp", _SORT),
        },
        "mariadb-entrypoint",
    ),
    _other(
        "apache",
        r"""RUN mkdir -p /run/apache2/socks && chown www-data /run/apache2/socks && a2enmod cgid && \
    printf '#!/bin/sh\necho "Content-Type: text/plain"\necho\necho here\n' \
        >/usr/lib/cgi-bin/t && chmod 755 /usr/lib/cgi-bin/t && echo here >/var/www/html/index.html
EXPOSE 80
STOPSIGNAL SIGWINCH
CMD ["sh", "-c", ". /etc/apache2/envvars && rm -f $APACHE_PID_FILE && exec apache2 -D FOREGROUND"]
""",
        _WEB.format(80) + ' && curl -fsS "http://$HARDENER_ADDR_80/cgi-bin/t" | grep -q here',
        {
            **clients(80, GET),
            "60 clients of CGI": _at_once(60, 'curl -fsS --max-time 60 "http://$HARDENER_ADDR_80/cgi-bin/t"'),
            **inside("reload by a command", "apachectl graceful && sleep 1"),
            **inside("configuration test", "apachectl configtest"),
            **signal("reload by a signal", "USR1"),
            **full_disk("/var/log/apache2", 'docker kill --signal USR1 "$NAME"; sleep 2'),
            **WORKER_CRASHES,
        },
    ),
    _other(
        "haproxy",
        r"""RUN printf '%s\n' global 'stats socket /run/admin level admin' defaults 'mode http' \
    'timeout client 30s' 'timeout server 30s' 'timeout connect 5s' 'frontend f' 'bind :80' \
    'http-request return status 200 content-type text/plain string here' >/etc/haproxy/haproxy.cfg
EXPOSE 80
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
""",
        _WEB.format(80),
        {
            **clients(80, GET),
            **inside("configuration test", "haproxy -c -f /etc/haproxy/haproxy.cfg"),
            **signal("reload by a signal", "USR2"),
        },
    ),
    _other(
        "unbound",
        r"""RUN printf '%s\n' server: 'interface: 0.0.0.0' 'access-control: 0.0.0.0/0 allow' 'chroot: ""' \
    'local-data: "example.test. A 192.0.2.7"' 'local-zone: "test." static' 'use-syslog: no' \
    >/etc/unbound/unbound.conf
EXPOSE 53/tcp 53/udp
CMD ["unbound", "-d", "-c", "/etc/unbound/unbound.conf"]
""",
        "for way in +notcp +tcp; do dig +short +time=2 +tries=3 $way @${HARDENER_ADDR_53%:*} -p"
        " $([ $way = +tcp ] && echo ${HARDENER_ADDR_53#*:} || echo ${HARDENER_ADDR_53_udp#*:}) example.test"
        " | grep -q 192.0.2.7 || exit 1; done",
        {
            **hang_up(53),
            "100 clients": _at_once(100, 'dig +tcp +time=5 @"${HARDENER_ADDR_53%:*}" example.test'),
            "names elsewhere cannot be resolved": "dig +tcp +time=30 +tries=1"
            ' @"${HARDENER_ADDR_53%:*}" a.example | grep SERVFAIL',
            **inside("configuration test", "unbound-checkconf"),
            **signal("reload by a signal", "HUP"),
        },
    ),
    _other(
        "mosquitto",
        r"""RUN printf '%s\n' 'listener 1883' 'allow_anonymous true' 'persistence true' \
    'persistence_location /var/lib/mosquitto/' >/etc/mosquitto/mosquitto.conf
VOLUME /var/lib/mosquitto
EXPOSE 1883
CMD ["mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"]
""",
        'P="-h ${HARDENER_ADDR_1883%:*} -p ${HARDENER_ADDR_1883#*:} -t t"; mosquitto_pub $P -r -m here &&'
        " timeout 10 mosquitto_sub $P -C 1 | grep -q here",
        {
            **hang_up(1883),
            "100 clients": _at_once(100, 'timeout 20 mosquitto_sub -h "${HARDENER_ADDR_1883%:*}" -t t -C 1'),
            **signal("reload by a signal", "HUP"),
            **signal("persistence by a signal", "USR1"),
            **full_disk("/var/lib/mosquitto", 'docker kill --signal USR1 "$NAME"; sleep 2'),
        },
    ),
    _other(
        "node",
        r"""RUN echo 'require("http").createServer((q, r) => r.end("here")).listen(8080)' >/server.js
USER nobody
EXPOSE 8080
CMD ["node", "/server.js"]
""",
        _WEB.format(8080),
        {**clients(8080, GET), **signal("inspector by a signal", "USR1")},
    ),
    _other(
        "java",
        """COPY Server.java /
USER nobody
EXPOSE 8080
CMD ["java", "-Xmx256m", "/Server.java"]
""",
        _WEB.format(8080),
        {
            **clients(8080, GET),
            **signal("thread dump by a signal", "QUIT"),
            "memory is collected": _at_once(40, 'curl -fsS "http://$HARDENER_ADDR_8080/garbage"'),
        },
        "Server.java",
    ),
    _other(
        "multiprocessing",
        'COPY pool /srv/pool.py\nUSER nobody\nEXPOSE 8000\nCMD ["python3", "-u", "/srv/pool.py"]\n',
        _WEB.format(8000),
        clients(8000, GET, most=50),
        "pool",
    ),
    _other(
        "sshd",
        r"""RUN useradd --create-home --shell /bin/sh visitor && echo visitor:visitor | chpasswd && \
    mkdir -p /run/sshd
EXPOSE 22
CMD ["/usr/sbin/sshd", "-D", "-e"]
""",
        f"sh {CLIENTS / 'ssh'} true",
        {
            **hang_up(22),
            "a terminal": 'sh "$CLIENTS/ssh" -tt "echo; exit" </dev/null',
            "files by sftp": 'sh "$CLIENTS/ssh" -s sftp </dev/null',
            "a wrong password": '! PASSWORD=wrong sh "$CLIENTS/ssh" true',
            **signal("reload by a signal", "HUP"),
        },
    ),
    _other(
        "supervisord",
        r"""COPY supervisord.conf /etc/supervisor/supervisord.conf
RUN printf '%s\n' 'module(load="imuxsock") module(load="imtcp")' 'input(type="imtcp" port="514")' \
    '*.* /var/log/all' >/etc/rsyslog-small.conf
EXPOSE 514/tcp 9001
CMD ["supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf"]
""",
        f"for _ in $(seq 30); do echo '<13>here' | {_netcat(514)}"
        ' && curl -fsS --max-time 20 "http://$HARDENER_ADDR_9001/" | grep -q running && exit; sleep 1; done;'
        " exit 1",
        {
            **hang_up(514),
            **inside("status by a command", "supervisorctl status"),
            **inside("restart of a program", "supervisorctl restart cron && sleep 2"),
            **inside("log by a command", "logger here"),
            "a scheduled job": """docker exec "$NAME" \\
                sh -c 'echo "* * * * * root touch /run/ran" >/run/cron.d/t' &&
                sleep 70 && docker exec "$NAME" ls /run/ran""",
        },
        "supervisord.conf",
    ),
    _other(
        "lighttpd",
        r"""RUN echo here >/var/www/html/index.html
EXPOSE 80
CMD ["lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"]
""",
        _WEB.format(80),
        {
            **clients(80, GET),
            **inside("configuration test", "lighttpd -tt -f /etc/lighttpd/lighttpd.conf"),
            **signal("log rotation by a signal", "HUP"),
            **full_disk("/var/log/lighttpd", 'docker kill --signal HUP "$NAME"; sleep 2'),
        },
    ),
    _other(
        "squid",
        r"""RUN printf '%s\n' 'http_port 3128' 'http_access allow all' 'cache_log /dev/stderr' \
    'access_log none' \
    'pid_filename none' 'max_filedescriptors 1024' 'shutdown_lifetime 1 second' >/etc/squid/squid.conf
EXPOSE 3128
CMD ["squid", "-N", "-f", "/etc/squid/squid.conf"]
""",
        '[ "$(curl -sS --max-time 20 -o /dev/null -w "%{http_code}" -x "http://$HARDENER_ADDR_3128"'
        ' http://127.0.0.1:9/)" = 503 ]',
        {
            **clients(3128, GET),
            "names cannot be resolved": 'curl -sS --max-time 60 -x "http://$HARDENER_ADDR_3128" http://a.example/'
            " | grep a.example",
            **signal("reload by a signal", "HUP"),
            **signal("log rotation by a signal", "USR1"),
        },
    ),
    _other(
        "bind",
        r"""RUN printf '%s\n' 'options { directory "/var/cache/bind"; recursion no;' \
    'allow-transfer { any; }; };' \
    'zone "example.test" { type primary; file "/etc/bind/example"; };' >/etc/bind/named.conf && \
    printf '%s\n' '$TTL 60' '@ SOA ns.example.test. a.example.test. 1 60 60 60 60' ' NS ns' 'ns A 192.0.2.1' \
    '@ A 192.0.2.7' >/etc/bind/example
EXPOSE 53/tcp 53/udp
CMD ["named", "-g", "-u", "bind"]
""",
        "dig +short +time=2 +tries=3 @${HARDENER_ADDR_53_udp%:*} -p ${HARDENER_ADDR_53_udp#*:} example.test"
        " | grep -q 192.0.2.7 && dig +tcp +short @${HARDENER_ADDR_53%:*} -p ${HARDENER_ADDR_53#*:}"
        " example.test | grep -q 192.0.2.7",
        {
            **hang_up(53),
            "a zone transfer": 'dig +time=5 @"${HARDENER_ADDR_53%:*}" axfr example.test | grep -q 192.0.2.1',
            **inside("configuration test", "named-checkconf"),
            **signal("reload by a signal", "HUP"),
        },
    ),
    _other(
        "varnish",
        r"""RUN printf '%s\n' 'vcl 4.1;' 'backend default none;' \
    'sub vcl_recv { return (synth(200, "here")); }' >/etc/varnish/default.vcl
EXPOSE 80
CMD ["varnishd", "-F", "-a", ":80", "-f", "/etc/varnish/default.vcl", "-s", "malloc,32m"]
""",
        _WEB.format(80),
        {
            **clients(80, GET),
            **inside("statistics by a command", "varnishstat -1"),
            **inside("reload by a command", "varnishadm vcl.load second /etc/varnish/default.vcl"),
            **WORKER_CRASHES,
        },
    ),
    _other(
        "prometheus",
        r"""RUN echo 'global: {scrape_interval: 5s}' >/etc/prometheus.yml && mkdir /data && chown nobody /data
USER nobody
VOLUME /data
EXPOSE 9090
CMD ["prometheus", "--config.file=/etc/prometheus.yml", "--storage.tsdb.path=/data", \
    "--web.enable-lifecycle", "--web.enable-admin-api"]
""",
        f'curl -fsS {_READY} "http://$HARDENER_ADDR_9090/-/ready"',
        {
            **clients(9090, r"GET /-/ready HTTP/1.0\r\n\r\n"),
            **signal("reload by a signal", "HUP"),
            "reload by a request": 'curl -fsS -X POST "http://$HARDENER_ADDR_9090/-/reload"',
            "backup by a request": 'curl -fsS -X POST "http://$HARDENER_ADDR_9090/api/v1/admin/tsdb/snapshot"',
            "a query": 'curl -fsS "http://$HARDENER_ADDR_9090/api/v1/query?query=up"',
        },
    ),
    _other(
        "slapd",
        r"""RUN mkdir /run/slapd && chown openldap /run/slapd
EXPOSE 389
CMD ["slapd", "-d", "0", "-h", "ldap:///", "-u", "openldap", "-g", "openldap", "-F", "/etc/ldap/slapd.d"]
""",
        'ldapsearch -x -H "ldap://$HARDENER_ADDR_389" -b "" -s base namingContexts | grep -q "result: 0"',
        {
            **hang_up(389),
            "60 clients": _at_once(60, 'ldapsearch -x -H "ldap://$HARDENER_ADDR_389" -b "" -s base'),
            **inside("backup", "slapcat -n 1 >/dev/null"),
        },
    ),
    _other(
        "php",
        r"""COPY php-entrypoint /
RUN echo '<?php echo "here\n"; file_put_contents("/tmp/x", "1"); ?>' >/var/www/html/index.php
EXPOSE 80
ENTRYPOINT ["/php-entrypoint"]
""",
        _WEB.format(80),
        {
            **clients(80, GET),
            **inside("configuration test", "php-fpm8.4 -t"),
            **signal("reload by a signal", "USR2"),
            **full_disk("/tmp", 'curl -sS --max-time 20 "http://$HARDENER_ADDR_80/"'),
            **WORKER_CRASHES,
        },
        "php-entrypoint",
    ),
)
