#!/bin/bash
# Builds the guest machine of the rig into the folder that is named: kernel, initrd, disk.img, wheels/.
#
#   build.sh FOLDER          as root, on Debian 12 (amd64), with a network; about three minutes
#
# The disk is a Debian 12 that has pip, as Raspberry Pi OS has. What else recorderd needs lies in apt's
# cache and in wheels/, so that the installer works offline in the guest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
to=$1
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$to"
work=$(mktemp -d "$to/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

say() { printf '%s rig: %s\n' "$(date +%T)" "$1"; }

say "programs of the host"
apt-get update -qq
image=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)/\1/p' | head -n 1)
version=${image#linux-image-}
series=$(echo "$version" | cut -d. -f1,2)
apt-get install -y -qq --no-install-recommends qemu-system-x86 seabios ipxe-qemu mmdebstrap \
  debian-archive-keyring busybox-static cpio kmod e2fsprogs gcc make xz-utils libelf-dev \
  portaudio19-dev "linux-headers-$version" >/dev/null

say "kernel $version, and gpio-sim for it"
mkdir "$work/debs" "$work/kernel" "$work/gpio"
(cd "$work/debs" && apt-get download -qq "$image" "linux-source-$series" 2>/dev/null)
dpkg-deb -x "$work"/debs/linux-image-*.deb "$work/kernel"
# Debian builds neither gpio-sim nor the interrupt simulator below it, so both go into one module of our
# own. Two things of the latter are not for modules: the names that it exports, and irq_to_desc, of which
# generic_handle_irq is the public form.
dpkg-deb --fsys-tarfile "$work"/debs/linux-source-*.deb |
  tar -xO "./usr/src/linux-source-$series.tar.xz" |
  tar -xJ -C "$work/gpio" --strip-components=1 --wildcards \
    '*/drivers/gpio/gpio-sim.c' '*/drivers/gpio/gpiolib.h' '*/kernel/irq/irq_sim.c'
mv "$work"/gpio/drivers/gpio/gpio-sim.c "$work/gpio/gpio-sim-chip.c"
mv "$work"/gpio/drivers/gpio/gpiolib.h "$work"/gpio/kernel/irq/irq_sim.c "$work/gpio/"
sed -i -e '/^EXPORT_SYMBOL/d' \
  -e 's/handle_simple_irq(irq_to_desc(\(.*\)));/generic_handle_irq(\1);/' "$work/gpio/irq_sim.c"
printf 'obj-m := gpio-sim.o\ngpio-sim-y := gpio-sim-chip.o irq_sim.o\n' >"$work/gpio/Makefile"
make -s -C "/lib/modules/$version/build" M="$work/gpio" modules
strip -g "$work/gpio/gpio-sim.ko"

say "Debian"
root=$work/root
mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Apt::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include=systemd,systemd-sysv,dbus,udev,kmod,procps,sudo,ca-certificates,alsa-utils,gpiod,python3,python3-pip \
  bookworm "$root" /etc/apt/sources.list.d/debian.sources
# What the installer will ask apt for. Compilers are not among it: the guest has PyAudio as a wheel.
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -qq --download-only --no-install-recommends -y \
  libportaudio2 >/dev/null
: >"$root/etc/resolv.conf"

say "modules"
modules=$root/lib/modules/$version
mkdir -p "$modules/updates"
cp -r "$work/kernel/lib/modules/$version/." "$modules/"
# Nothing of the rig needs these, and they are half of it.
find "$modules/kernel/drivers/net" -mindepth 1 ! -name 'virtio_net.ko*' ! -name 'net_failover.ko*' -delete
rm -rf "$modules"/kernel/drivers/{gpu,infiniband,scsi,iio,staging,isdn,media/{usb,pci,tuners,dvb-frontends,i2c,rc},mtd,hwmon} \
  "$modules"/kernel/{net/{bluetooth,wireless,mac80211,netfilter,sctp,tipc},fs/{xfs,btrfs,ocfs2,gfs2,nfs,nfsd,ceph,f2fs,jfs,reiserfs},sound/{pci,soc}}
cp "$work/gpio/gpio-sim.ko" "$modules/updates/"
depmod -b "$root" "$version" 2>/dev/null

say "guest"
cp -r "$here/guest/." "$root/"
chroot "$root" systemctl --quiet enable rig-agent.service rig-devices.service
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
  getty@tty1.service
chroot "$root" passwd --quiet --delete root
echo rig >"$root/etc/hostname"
: >"$root/etc/machine-id"

say "initrd"
early=$work/initrd
mkdir -p "$early/bin" "$early/modules"
cp /bin/busybox "$early/bin/busybox"
for name in virtio_pci virtio_blk ext4; do
  modprobe --dirname "$root" --set-version "$version" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r module; do
  cp "$module" "$early/modules/"
  basename "$module" >>"$early/modules/order"
done
install -m 755 "$here/early.sh" "$early/init"
(cd "$early" && find . | cpio --quiet -o -H newc | gzip -1) >"$to/initrd"
cp "$work/kernel/boot/vmlinuz-$version" "$to/kernel"

say "wheels"
mapfile -t needs < <(python3 "$here/needs.py" "$project/pyproject.toml" pi,seal,sftp)
python=(python3 -m pip --disable-pip-version-check -q)
mkdir "$work/wheels"
# Of the guest's Python, 3.11. PyAudio comes as source only; this machine is a Debian 12 as the guest is.
"${python[@]}" wheel --no-deps -w "$work/wheels" 'pyaudio>=0.2.14'
"${python[@]}" download -d "$work/wheels" --only-binary=:all: --find-links "$work/wheels" \
  --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
  --platform manylinux_2_34_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
  --platform linux_x86_64 --platform any 'setuptools>=77' wheel "${needs[@]}"
rm -rf "$to/wheels"
mv "$work/wheels" "$to/wheels"

say "disk"
mke2fs -q -t ext4 -L root -d "$root" "$work/disk.img" 3G
mv "$work/disk.img" "$to/disk.img"
du -sh --apparent-size "$root" | cut -f1 >"$to/size"
echo "$version" >"$to/version"
say "built: $version, root $(cat "$to/size"), disk.img $(du -h "$to/disk.img" | cut -f1)"
