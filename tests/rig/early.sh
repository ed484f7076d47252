#!/bin/busybox sh
# shellcheck shell=dash
# The first program of the guest: loads what the disk needs, mounts it and hands over to systemd.
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
  /bin/busybox insmod "/modules/$module" || echo "early: $module was not loaded"
done </modules/order
tries=0
while [ ! -b /dev/vda ] && [ "$tries" -lt 100 ]; do
  /bin/busybox sleep 0.1
  tries=$((tries + 1))
done
/bin/busybox mount -t ext4 -o rw /dev/vda /root || /bin/busybox poweroff -f
for place in proc sys dev; do
  /bin/busybox mount --move "/$place" "/root/$place"
done
exec /bin/busybox switch_root /root /sbin/init
