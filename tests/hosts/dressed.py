"""Scripts that turn a Debian host into one like other distributions' hosts, with Docker's own packages.

A host of them has the distribution's name, package manager, firewall, settings of updates and an archive with
a security update, but Debian's programs. So it shows what hardener writes and runs there, and no difference
between the programs themselves.
"""

from __future__ import annotations

# A security archive in the host, and how Debian packages are built and published in it.
PUBLISHING = r"""
set -eu
build() {
    mkdir -p /tmp/$1-$2/DEBIAN
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Lab <lab@example>\nDescription: x\n' \
        $1 $2 > /tmp/$1-$2/DEBIAN/control
    dpkg-deb --build /tmp/$1-$2 $3/$1_$2_all.deb
}
. /etc/os-release
suite=/srv/security/dists/$VERSION_CODENAME-security
case $ID in
    debian) origin=Debian label=Debian-Security archive=stable-security ;;
    *) origin=$NAME label=$NAME archive=$VERSION_CODENAME-security ;;
esac
publish() {
    cd /srv/security
    apt-ftparchive packages pool > $suite/main/binary-amd64/Packages
    cp $suite/main/binary-amd64/Packages $suite/main/binary-all/
    field=APT::FTPArchive::Release
    apt-ftparchive -o $field::Origin=$origin -o $field::Label=$label \
        -o $field::Suite=$archive -o $field::Codename=$(basename $suite) \
        -o $field::Architectures="amd64 all" -o $field::Components=main release $suite > /tmp/Release
    gpg --batch --yes --clearsign --output $suite/InRelease /tmp/Release
}
"""
# An update of a package, and of one that hardener takes for an engine.
ARCHIVE = rf"""
{PUBLISHING}
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y --no-install-recommends install gpg gpg-agent
mkdir -p /srv/old /srv/security/pool $suite/main/binary-all $suite/main/binary-amd64
for name in victim docker-engine; do
    build $name 1.0 /srv/old
    build $name 1.1 /srv/security/pool
done
dpkg --install /srv/old/*.deb
gpg --batch --quick-gen-key --passphrase '' lab@example rsa3072 sign never
publish
gpg --batch --export lab@example > /etc/apt/keyrings/lab.gpg
echo "deb [signed-by=/etc/apt/keyrings/lab.gpg] copy:///srv/security $(basename $suite) main" \
    > /etc/apt/sources.list.d/lab.list
apt-get -q update
"""

# Debian's engine as Docker's packages have it: their folders, their units, no /etc/docker, no settings.
_LAYOUT = r"""
set -eu
engine=/srv/engine
install -D -t $engine/docker-ce/usr/bin /usr/sbin/dockerd /usr/sbin/docker-proxy
install -D -t $engine/docker-ce/usr/libexec/docker /usr/bin/docker-init
install -D -t $engine/docker-ce-cli/usr/bin /usr/bin/docker
install -D -t $engine/containerd.io/usr/bin /usr/bin/containerd /usr/bin/containerd-shim-runc-v2 \
    /usr/bin/ctr $(readlink -f /usr/sbin/runc)
install -D -m 644 -t $engine/docker-ce/usr/lib/systemd/system /usr/lib/systemd/system/docker.socket
install -D -m 644 -t $engine/containerd.io/usr/lib/systemd/system /usr/lib/systemd/system/containerd.service
sed -e 's#/usr/sbin/dockerd#/usr/bin/dockerd#; s# \$DOCKER_OPTS##; /^EnvironmentFile=/d' \
    /usr/lib/systemd/system/docker.service > $engine/docker-ce/usr/lib/systemd/system/docker.service
mkdir -p $engine/containerd.io/etc/containerd
echo 'disabled_plugins = ["cri"]' > $engine/containerd.io/etc/containerd/config.toml
engine_version=$(docker version --format '{{.Server.Version}}' | sed 's/[^0-9.].*//')
systemctl disable --now docker.socket docker.service containerd.service
apt-get purge -q -y docker.io docker-cli containerd runc
rm -rf /etc/docker /etc/default/docker /etc/containerd
"""
_STARTED = "systemctl daemon-reload; systemctl enable --now containerd.service docker.socket docker.service"
_DEBS = r"""
deb() {
    mkdir -p $engine/$1/DEBIAN
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: x <x@example>\nDescription: x\n' \
        $1 $2 > $engine/$1/DEBIAN/control
    dpkg-deb -Znone --build $engine/$1 $engine/$1.deb
}
deb docker-ce 5:$engine_version-1~ubuntu.24.04~noble
deb docker-ce-cli 5:$engine_version-1~ubuntu.24.04~noble
deb containerd.io 1.7.24-1
dpkg --install $engine/*.deb
groupadd --force --system docker
"""
UBUNTU = rf"""
set -eu
export DEBIAN_FRONTEND=noninteractive
server=$(sed -n 's/^nameserver //p' /etc/resolv.conf | head -1)
apt-get -q update
apt-get -qy --no-install-recommends install ufw needrestart systemd-resolved unattended-upgrades gpg gpg-agent
printf 'DNS=%s\n' "$server" >> /etc/systemd/resolved.conf
systemctl restart systemd-resolved
cat > /usr/lib/os-release <<'END'
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
END
cat > /etc/apt/apt.conf.d/50unattended-upgrades <<'END'
Unattended-Upgrade::Allowed-Origins {{
    "${{distro_id}}:${{distro_codename}}";
    "${{distro_id}}:${{distro_codename}}-security";
    "${{distro_id}}ESMApps:${{distro_codename}}-apps-security";
    "${{distro_id}}ESM:${{distro_codename}}-infra-security";
}};
END
systemctl disable --now ssh.service
systemctl enable --now ssh.socket
ufw allow 22/tcp
ufw --force enable
{_LAYOUT}{_DEBS}{_STARTED}
({ARCHIVE})
"""

# RPM packages in a repository with an advisory. dnf-automatic is of Debian's dnf, which lacks its units.
_RPMS = r"""
rpm_of() {
    (cd $engine/$1 && find . -type f -o -type l | cut -c2- > /tmp/files)
    cat > /tmp/x.spec <<END
Name: $1
Version: $2
Release: 1.el9
${3:+Epoch: $3}
Summary: x
License: x
AutoReqProv: no
%description
x
%install
cp -a $engine/$1/. %{buildroot}/
%files
END
    cat /tmp/files >> /tmp/x.spec
    rpmbuild --quiet -bb --define '_rpmdir /srv/repository' --define '__os_install_post %{nil}' \
        --define '_build_id_links none' --define 'debug_package %{nil}' /tmp/x.spec
}
install -d $engine/dnf-automatic/usr/bin $engine/dnf-automatic/usr/lib/systemd/system $engine/victim/usr/share
cat > $engine/dnf-automatic/usr/bin/dnf-automatic <<'END'
#!/usr/bin/python3
import sys

from dnf.automatic.main import main

sys.exit(main(sys.argv[1:]))
END
chmod 755 $engine/dnf-automatic/usr/bin/dnf-automatic
cat > $engine/dnf-automatic/usr/lib/systemd/system/dnf-automatic-install.service <<'END'
[Service]
Type=oneshot
ExecStart=/usr/bin/dnf-automatic /etc/dnf/automatic.conf --timer --installupdates
END
cat > $engine/dnf-automatic/usr/lib/systemd/system/dnf-automatic-install.timer <<'END'
[Timer]
OnCalendar=*-*-* 6:00
[Install]
WantedBy=timers.target
END
echo x > $engine/victim/usr/share/victim
rpm_of docker-ce $engine_version 3
rpm_of docker-ce-cli $engine_version 1
rpm_of containerd.io 1.7.24
rpm_of dnf-automatic 4.23.0
rpm_of victim 1.0
createrepo_c --quiet /srv/repository
cat > /etc/yum.repos.d/lab.repo <<'END'
[lab]
name=lab
baseurl=file:///srv/repository
gpgcheck=0
END
dnf -qy install docker-ce docker-ce-cli containerd.io victim
rpm_of victim 1.1
cat > /tmp/updateinfo.xml <<'END'
<updates><update from="lab" status="final" type="security" version="1">
<id>RLSA-2026:1</id><title>victim</title><severity>Important</severity><issued date="2026-11-01 00:00:00"/>
<pkglist><collection short="lab"><name>lab</name>
<package name="victim" version="1.1" release="1.el9" epoch="0" arch="x86_64" src="victim-1.1-1.el9.src.rpm">
<filename>victim-1.1-1.el9.x86_64.rpm</filename></package>
</collection></pkglist></update></updates>
END
createrepo_c --quiet /srv/repository
modifyrepo_c /tmp/updateinfo.xml /srv/repository/repodata
dnf -q makecache
"""
RED_HAT = rf"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy --no-install-recommends install dnf dnf-plugins-core rpm createrepo-c file firewalld \
    python3-systemd
rm -f /etc/dnf/plugins/local.conf
echo 9.6 > /etc/dnf/vars/releasever
{_LAYOUT}
mkdir -p /etc/yum.repos.d
{_RPMS}
groupadd --force --system docker
{_STARTED}
rm /var/lib/dpkg/status /usr/bin/apt-get
cat > /usr/lib/os-release <<'END'
NAME="Rocky Linux"
VERSION="9.6 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.6"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Rocky Linux 9.6 (Blue Onyx)"
END
"""
