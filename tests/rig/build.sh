#!/bin/bash
# Builds a guest machine of the rig into the folder that is named: kernel, initrd, disk.img, wheels/.
#
#   build.sh SUITE ARCHITECTURE FOLDER     as root, on Debian, amd64, with a network
#
# SUITE is bookworm or trixie, ARCHITECTURE amd64 or arm64, whose programs run under qemu-user meanwhile.
# The disk is a Debian that has pip, as Raspberry Pi OS has. What else recorderd needs lies in apt's
# cache and in wheels/, so that the installer works offline in the guest.
#
# What must be compiled is compiled in the workshop, a copy of that Debian with compilers: only there
# are the compiler that the kernel wants, its header files' programs, and Python's headers all of one suite.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
suite=$1 architecture=$2 to=$3
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
mkdir -p "$to"
work=$(mktemp -d "$to/build.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT # mmdebstrap may have been ended amid its mounts
root=$work/root shop=$work/workshop

say() { printf '%s rig: %s\n' "$(date +%T)" "$1"; }

case $architecture in
  amd64) emulator="qemu-system-x86 seabios" processor=x86_64 ;;
  arm64) emulator="qemu-system-arm" processor=aarch64 ;;
  *) say "it builds no $architecture" && exit 1 ;;
esac
# What the installer asks apt for, and what it compiles: PyAudio comes as source only, lgpio has no wheel
# for the Python of trixie. One guest gets a wheel of PyAudio, so that both ways are taken.
installs="libportaudio2" sources=
[ "$suite-$architecture" = bookworm-amd64 ] ||
  installs="$installs gcc python3-dev portaudio19-dev" sources="pyaudio"
[ "$suite" = bookworm ] || installs="$installs swig" sources="$sources lgpio"

in_root() { chroot "$root" "$@"; }
in_shop() { chroot "$shop" "$@"; }

prepare_host() {
  say "programs of the host"
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  apt-get install -y -qq --no-install-recommends $emulator mmdebstrap debian-archive-keyring cpio kmod \
    e2fsprogs xz-utils python3-pip >/dev/null
  [ "$(dpkg --print-architecture)" != "$architecture" ] || return 0
  apt-get install -y -qq --no-install-recommends qemu-user-static binfmt-support arch-test >/dev/null
  [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  update-binfmts --enable "qemu-$processor"
}

make_root() {
  say "Debian $suite, $architecture"
  # The host's own source of Debian, which may be a mirror nearby, with the other suite's name.
  local host
  host=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  sed "s/\b$host\b/$suite/g" /etc/apt/sources.list.d/debian.sources >"$work/debian.sources"
  mmdebstrap --quiet --mode=root --variant=minbase --architectures="$architecture" \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=systemd,systemd-sysv,dbus,udev,kmod,procps,sudo,ca-certificates,alsa-utils,gpiod,python3,python3-pip \
    "$suite" "$root" "$work/debian.sources"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  in_root apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  in_root apt-get install -qq --download-only --no-install-recommends -y $installs >/dev/null
}

make_workshop() {
  say "workshop"
  cp -a "$root" "$shop"
  image=$(in_shop apt-cache depends "linux-image-$architecture" |
    sed -n 's/.*Depends: \(linux-image-[^ ]*\)/\1/p' | head -n 1)
  version=${image#linux-image-}
  series=$(echo "$version" | cut -d. -f1,2)
  in_shop apt-get install -y -qq --no-install-recommends -o DPkg::Options::=--force-unsafe-io gcc make busybox-static \
    python3-dev portaudio19-dev "linux-headers-$version" >/dev/null
  mkdir "$shop/debs" "$shop/gpio" "$work/kernel"
  in_shop sh -c "cd /debs && apt-get download -qq $image linux-source-$series" 2>/dev/null
  dpkg-deb -x "$shop"/debs/linux-image-*.deb "$work/kernel"
  [ -e "$work/kernel/lib" ] || ln -s usr/lib "$work/kernel/lib"
}

make_gpio_sim() {
  say "gpio-sim for $version"
  # Debian builds neither gpio-sim nor the interrupt simulator below it, so both go into one module of our
  # own. Two things of the latter are not for modules: the names that it exports, and irq_to_desc, of which
  # generic_handle_irq is the public form.
  dpkg-deb --fsys-tarfile "$shop"/debs/linux-source-*.deb |
    tar -xO "./usr/src/linux-source-$series.tar.xz" |
    tar -xJ -C "$shop/gpio" --strip-components=1 --wildcards \
      '*/drivers/gpio/gpio-sim.c' '*/drivers/gpio/gpiolib.h' '*/kernel/irq/irq_sim.c'
  mv "$shop/gpio/drivers/gpio/gpio-sim.c" "$shop/gpio/gpio-sim-chip.c"
  mv "$shop/gpio/drivers/gpio/gpiolib.h" "$shop/gpio/kernel/irq/irq_sim.c" "$shop/gpio/"
  sed -i -e '/^EXPORT_SYMBOL/d' \
    -e 's/handle_simple_irq(irq_to_desc(\(.*\)));/generic_handle_irq(\1);/' "$shop/gpio/irq_sim.c"
  printf 'obj-m := gpio-sim.o\ngpio-sim-y := gpio-sim-chip.o irq_sim.o\n' >"$shop/gpio/Makefile"
  in_shop make -s -C "/lib/modules/$version/build" M=/gpio modules
  in_shop strip -g /gpio/gpio-sim.ko
}

make_wheels() {
  say "wheels"
  local python needs name
  # Without the two that may have no wheel, or ask for one that has none.
  mapfile -t needs < <(python3 "$here/needs.py" "$project/pyproject.toml" pi,seal,sftp |
    grep -v -e ^pyaudio -e ^rpi-lgpio)
  python=$(in_root python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  mkdir "$shop/wheels"
  local download=(python3 -m pip --disable-pip-version-check -q download -d "$shop/wheels")
  local wheels=(--only-binary=:all: --python-version "$python" --implementation cp
    --abi "cp${python/./}" --abi abi3 --abi none --platform "manylinux_2_34_$processor"
    --platform "manylinux_2_28_$processor" --platform "manylinux2014_$processor"
    --platform "linux_$processor" --platform any)
  "${download[@]}" "${wheels[@]}" 'setuptools>=77' wheel "${needs[@]}"
  "${download[@]}" "${wheels[@]}" --no-deps rpi-lgpio
  for name in $sources; do
    "${download[@]}" --no-deps --no-binary="$name" "$name"
  done
  [[ $sources == *lgpio* ]] || "${download[@]}" "${wheels[@]}" --no-deps lgpio
  if [[ $sources != *pyaudio* ]]; then
    "${download[@]}" --no-deps --no-binary=pyaudio pyaudio
    in_shop python3 -m pip -q wheel --no-deps --no-index --find-links /wheels -w /wheels pyaudio
    rm "$shop"/wheels/*.tar.gz
  fi
  rm -rf "$to/wheels"
  mv "$shop/wheels" "$to/wheels"
}

put_modules() {
  say "modules"
  local modules=$root/lib/modules/$version
  mkdir -p "$modules/updates"
  cp -r "$work/kernel/lib/modules/$version/." "$modules/"
  # Nothing of the rig needs these, and they are half of it.
  find "$modules/kernel/drivers/net" -mindepth 1 ! -name 'virtio_net.ko*' ! -name 'net_failover.ko*' -delete
  rm -rf "$modules"/kernel/drivers/{gpu,infiniband,scsi,iio,staging,isdn,media/{usb,pci,tuners,dvb-frontends,i2c,rc},mtd,hwmon} \
    "$modules"/kernel/{net/{bluetooth,wireless,mac80211,netfilter,sctp,tipc},fs/{xfs,btrfs,ocfs2,gfs2,nfs,nfsd,ceph,f2fs,jfs,reiserfs},sound/{pci,soc}}
  cp "$shop/gpio/gpio-sim.ko" "$modules/updates/"
  depmod -b "$root" "$version" 2>/dev/null
}

put_guest() {
  say "guest"
  : >"$root/etc/resolv.conf"
  cp -r "$here/guest/." "$root/"
  in_root systemctl --quiet enable rig-agent.service rig-devices.service
  in_root systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-binfmt.service proc-sys-fs-binfmt_misc.automount getty@tty1.service
  in_root passwd --quiet --delete root
  echo rig >"$root/etc/hostname"
  : >"$root/etc/machine-id"
}

make_initrd() {
  say "initrd"
  local early=$work/initrd
  mkdir -p "$early/bin" "$early/modules"
  cp "$shop/bin/busybox" "$early/bin/busybox"
  for name in virtio_pci virtio_blk ext4; do
    modprobe --dirname "$root" --set-version "$version" --show-depends "$name"
  done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r module; do
    cp "$module" "$early/modules/"
    basename "$module" .xz >>"$early/modules/order"
  done
  find "$early/modules" -name '*.xz' -exec unxz {} +
  install -m 755 "$here/early.sh" "$early/init"
  (cd "$early" && find . | cpio --quiet -o -H newc | gzip -1) >"$to/initrd"
  cp "$work/kernel/boot/vmlinuz-$version" "$to/kernel"
}

make_disk() {
  say "disk"
  mke2fs -q -t ext4 -L root -d "$root" "$work/disk.img" 3G
  du -sh --apparent-size "$root" | cut -f1 >"$to/size"
  echo "$version" >"$to/version"
  mv "$work/disk.img" "$to/disk.img"
  say "built: $version, root $(cat "$to/size"), disk.img $(du -h "$to/disk.img" | cut -f1)"
}

build() {
  prepare_host
  make_root
  make_workshop
  make_gpio_sim
  make_wheels
  put_modules
  put_guest
  make_initrd
  make_disk
}

build
