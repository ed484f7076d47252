#!/bin/sh
# Installs recorderd on Raspberry Pi OS or Debian 12 and later, from a checkout or an unpacked release.
#
#   sudo sh systemd/install.sh                    install; once more: upgrade
#   sudo sh systemd/install.sh --remove           remove it; recordings and configuration stay
#   sudo sh systemd/install.sh --remove --purge   remove those, too; it asks first
#
# Each version has a folder of its own, /opt/recorderd-VERSION-HASH, and /opt/recorderd is a link to the one
# that runs. An upgrade that is not recording within two minutes is taken back. The first step that fails
# ends the installation and says what to do; what it had begun is removed.
#
# It asks the network for Debian's packages and for Python's; pip's own settings choose from where
# (sudo PIP_NO_INDEX=1 PIP_FIND_LINKS=/media/stick/wheels sh systemd/install.sh needs none of the latter).
set -eu

link=/opt/recorderd
config=/etc/recorderd/recorderd.toml
units=/etc/systemd/system
ready_within_s=120
room_kb=500000

target=     # the folder of the version to install
previous=   # the one that ran before
state=idle  # building, switched: what an end that is a failure must undo

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fail() {
  printf '\ninstall.sh: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf 'What to do: %s\n' "$2" >&2
  exit 1
}

# ---------------------------------------------------------------- what every run needs

look_around() {
  step "Looking at this machine"
  [ "$(id -u)" = 0 ] || fail "it must run as root" "sudo sh $0"
  for program in apt-get dpkg-query systemctl systemd-sysusers systemd-tmpfiles udevadm; do
    command -v "$program" >/dev/null ||
      fail "the program $program is missing" "use Raspberry Pi OS, or Debian 12 or later"
  done
  exec 9>/run/recorderd-install.lock
  flock -n 9 || fail "another run of install.sh is under way" "wait for its end"
  [ -h "$link" ] || [ ! -e "$link" ] || fail "$link is no link: it was installed by hand" \
    "systemctl stop recorderd; mv $link $link.by-hand   (recordings and configuration lie elsewhere)"
  previous=$(readlink "$link" || true)
}

look_at_release() {
  release=$(cd "$(dirname "$0")/.." && pwd)
  [ -f "$release/pyproject.toml" ] || # it stands for all
    fail "there is no recorderd beside $0" "run it from an unpacked release or a checkout"
  version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$release/recorderd/__init__.py")
  hash=$(cd "$release" && find pyproject.toml recorderd systemd -type f ! -name '*.pyc' |
    LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum | cut -c1-8)
  target=$link-$version-$hash
  architecture=$(dpkg --print-architecture)
  case $architecture in
    amd64 | arm64 | armhf) ;;
    *) fail "recorderd does not run on $architecture" "use arm64, amd64 or armhf" ;;
  esac
  /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Python 3.11 or later is missing" "use Raspberry Pi OS or Debian of release 12 or later"
  free_kb=$(df -Pk /opt | awk 'NR == 2 {print $4}')
  [ "$free_kb" -ge "$room_kb" ] ||
    fail "only $free_kb kB are free in /opt; $room_kb are needed" "make room there"
  say "recorderd $version ($hash) for $architecture; now: ${previous:-none}"
}

# ---------------------------------------------------------------- the program

need_packages() {
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  say "installing:$missing"
  # The lists of packages may be too old; they are asked for only then.
  # shellcheck disable=SC2086  # one word a package
  install_packages $missing || { apt-get update -qq && install_packages $missing; } ||
    fail "apt-get cannot install$missing (see above)" "check the network, then run this again"
}

install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

build() {
  if [ -e "$target/complete" ]; then
    say "$target is there already"
    return
  fi
  extras=pi,seal,sftp
  step "System packages"
  need_packages python3-pip libportaudio2
  if [ "$architecture" = armhf ]; then
    # No wheels of these, and none of pyrage: a 32-bit box cannot seal.
    extras=pi,sftp
    need_packages python3-numpy python3-nacl python3-soundfile
  fi

  step "Building $target"
  state=building
  rm -rf "$target"
  # The system's pip works for it: one of its own would be as large as recorderd.
  if [ "$architecture" = armhf ]; then
    /usr/bin/python3 -m venv --without-pip --system-site-packages "$target"
  else
    /usr/bin/python3 -m venv --without-pip "$target"
  fi
  mkdir "$target/source"
  cp -r "$release/recorderd" "$release/pyproject.toml" "$release/README.md" "$release/LICENSE" \
    "$target/source/"
  # Elsewhere than from the Pi's own index, PyAudio comes as source only; so does lgpio, which rpi-lgpio
  # needs, for Python 3.13.
  has_wheel 'pyaudio>=0.2.14' || need_packages gcc python3-dev portaudio19-dev
  has_wheel 'lgpio>=0.2.2' || need_packages gcc python3-dev swig
  if [ "$architecture" = armhf ]; then
    has_wheel 'gpiod>=2.1' || need_packages gcc python3-dev
    has_wheel 'cffi>=2' || need_packages gcc python3-dev libffi-dev # of the sftp library
  fi
  pip install -q "$target/source[$extras]" ||
    fail "pip cannot install recorderd (see above)" "check the network, then run this again"
  "$target/bin/python" -c 'import gpiod, numpy, pyaudio, serial, soundfile' ||
    fail "a library cannot be loaded (see above)" "report this with the lines above"
  cp -r "$release/systemd" "$release/README.md" "$target/"
  rm -rf "$target/source" "$target/try"
  touch "$target/complete"
}

has_wheel() {
  pip download -q --no-deps --only-binary=:all: -d "$target/try" "$1" 2>/dev/null
}

pip() {
  # PYPI: lgpio compiles the C library that lies in its source, of which Debian has no package.
  set -- env PYPI=1 /usr/bin/python3 -m pip --python "$target/bin/python" --disable-pip-version-check "$@"
  # A 32-bit system on a 64-bit kernel must say what it is, or it asks for wheels that there are not.
  [ "$architecture" != armhf ] || set -- setarch linux32 "$@"
  "$@"
}

# ---------------------------------------------------------------- the system's files

# Source in a release's systemd/, and place.
system_files() {
  cat <<EOT
recorderd.service $units/recorderd.service
recorderd-upload.service $units/recorderd-upload.service
recorderd-doctor.service $units/recorderd-doctor.service
recorderd-doctor.timer $units/recorderd-doctor.timer
recorderd.sysusers /etc/sysusers.d/recorderd.conf
recorderd.tmpfiles /etc/tmpfiles.d/recorderd.conf
recorderd.rules /etc/udev/rules.d/60-recorderd.rules
watchdog.conf /etc/systemd/system.conf.d/recorderd.conf
journal.conf /etc/systemd/journald.conf.d/recorderd.conf
EOT
}

put_system_files() {
  # $1: the release's folder. What is the same already is left alone.
  changed=
  while read -r name place; do
    cmp -s "$1/systemd/$name" "$place" && continue
    install -D -m 644 "$1/systemd/$name" "$place"
    changed="$changed $name"
  done <<EOT
$(system_files)
EOT
  say "changed:${changed:- nothing}"
  systemd-sysusers /etc/sysusers.d/recorderd.conf
  systemd-tmpfiles --create /etc/tmpfiles.d/recorderd.conf
  take_system_files
}

take_system_files() {
  # What was not changed is not read again: a trigger makes udev look at every device.
  case $changed in *recorderd.rules*)
    { udevadm control --reload && udevadm trigger --subsystem-match=tty --subsystem-match=gpio \
      --subsystem-match=sound; } || say "udev reads its rules at the next start"
    ;;
  esac
  case $changed in *journal.conf*) systemctl restart systemd-journald ;; esac
  case $changed in *watchdog.conf*) systemctl daemon-reexec ;; *) systemctl daemon-reload ;; esac
}

remove_system_files() {
  system_files | while read -r _ place; do rm -f "$place"; done
  systemctl daemon-reexec
  udevadm control --reload || true
}

# ---------------------------------------------------------------- the configuration

check_config() {
  step "Configuration"
  example=$target/$(cd "$target" && find lib -name recorderd.example.toml)
  if [ ! -e "$config" ]; then
    install -D -m 640 "$example" "$config"
    say "$config is a sample: it must be edited"
  fi
  chown root:recorderd "$config"
  is_sample=no
  for shipped in "$example" ${previous:+"$previous"/lib/python3*/site-packages/recorderd/data/recorderd.example.toml}; do
    ! cmp -s "$shipped" "$config" || is_sample=yes
  done
  "$target/bin/recorderd" check --config "$config" ||
    fail "recorderd $version does not take $config as it is (see above)" \
      "mend it, then run this again; what ran until now still runs"
}

# ---------------------------------------------------------------- switching

point_to() {
  ln -sfn "$1" "$link.new"
  mv -T "$link.new" "$link" # a rename: there is no moment without a link
}

start() {
  # The services of the release in place; the answer says whether all of them are ready, and stay so.
  systemctl enable -q recorderd || return 1
  systemctl restart --no-block recorderd
  is_ready recorderd || return 1
  if grep -q '^\[archive\]' "$config"; then
    systemctl enable -q recorderd-upload || return 1
    systemctl restart --no-block recorderd-upload
    is_ready recorderd-upload || return 1
  fi
  systemctl enable -q --now recorderd-doctor.timer
}

is_ready() {
  restarts=$(systemctl show -p NRestarts --value "$1")
  left_s=$ready_within_s
  until [ "$(systemctl show -p ActiveState --value "$1")" = active ]; do
    [ "$left_s" -gt 0 ] || return 1
    [ "$(systemctl show -p ActiveState --value "$1")" != failed ] || return 1
    [ "$(systemctl show -p NRestarts --value "$1")" -le $((restarts + 5)) ] || return 1
    left_s=$((left_s - 1))
    sleep 1
  done
  # One that says it is ready and ends at once is not.
  pid=$(systemctl show -p MainPID --value "$1")
  sleep 5
  [ "$(systemctl show -p MainPID --value "$1")" = "$pid" ] &&
    [ "$(systemctl show -p ActiveState --value "$1")" = active ]
}

switch() {
  step "Switching to $target"
  state=switched
  point_to "$target"
  put_system_files "$target"
  ln -sfn "$link/bin/recorderd" /usr/local/bin/recorderd
  if [ "$is_sample" = yes ]; then
    # Nor enabled: started by a reboot, it would record calls for the sample's office.
    say "not started, for $config is the sample"
  elif start; then
    say "recorderd $version is recording"
  else
    journalctl -q -u recorderd -u recorderd-upload -n 30 --no-pager -o cat >&2 || true
    fail "recorderd $version is not ready (its last lines are above)" \
      "report this with the lines above; what ran before runs again"
  fi
  state=idle
}

undo() {
  # Runs at every end.
  code=$?
  trap - EXIT
  case $state in
    building) [ "$target" = "$previous" ] || rm -rf "$target" ;;
    switched) roll_back ;;
  esac
  exit "$code"
}

roll_back() {
  set +e
  if [ -n "$previous" ] && [ -e "$previous/complete" ]; then
    step "Going back to $previous" >&2
    point_to "$previous"
    put_system_files "$previous" >&2
    if [ "$is_sample" = yes ] || start; then
      say "$previous is in place again" >&2
    else
      say "$previous does not start either: see journalctl -u recorderd" >&2
    fi
  else
    step "Removing what was begun" >&2
    systemctl disable -q --now recorderd-doctor.timer recorderd-upload recorderd
    rm -f "$link" /usr/local/bin/recorderd
    remove_system_files
  fi
  [ "$target" = "$previous" ] || rm -rf "$target"
}

forget_older() {
  for folder in "$link"-*; do
    [ "$folder" = "$target" ] || [ "$folder" = "$previous" ] || rm -rf "$folder"
  done
}

install_all() {
  look_around
  look_at_release
  trap undo EXIT
  trap 'exit 1' HUP INT TERM
  build
  step "User, devices, units"
  # The user and the folders come before the configuration, which belongs to them.
  systemd-sysusers "$target/systemd/recorderd.sysusers"
  systemd-tmpfiles --create "$target/systemd/recorderd.tmpfiles"
  check_config
  switch
  forget_older
  step "Done"
  [ "$is_sample" = no ] || cat <<EOT
Next: 1. sudo recorderd devices            what can be named in the configuration
      2. edit $config
      3. sudo recorderd check              shows every error at once
      4. sudo recorderd doctor             with somebody at the telephone: that all of it works
      5. sudo systemctl enable --now recorderd
EOT
  say "How it is doing: sudo recorderd status; its journal: journalctl -u recorderd"
}

# ---------------------------------------------------------------- removing

remove_all() {
  look_around
  storage=$(storage_of "$config" || echo /var/lib/recorderd)
  if [ "${2:-}" = --purge ]; then
    [ -d "$storage/ledger" ] || [ -z "$(ls -A "$storage" 2>/dev/null)" ] ||
      fail "$storage does not look like recorderd's recordings" "remove by hand what is in it"
    say "All recordings in $storage, the configuration in /etc/recorderd and the archive's credentials"
    say "in /etc/credstore will be ERASED."
    printf 'Type "erase" to go on: '
    read -r answer || answer=
    [ "$answer" = erase ] || fail "nothing was removed"
  fi
  step "Stopping"
  systemctl disable -q --now recorderd-doctor.timer recorderd-upload recorderd 2>/dev/null || true
  step "Removing the program"
  remove_system_files
  rm -f "$link" /usr/local/bin/recorderd
  rm -rf "$link"-*
  if [ "${2:-}" = --purge ]; then
    step "Erasing recordings and configuration"
    # The folder itself may be where a disk is mounted.
    find "$storage" -mindepth 1 -delete
    rmdir "$storage" 2>/dev/null || true
    rm -rf /etc/recorderd /etc/credstore/recorderd.archive
    userdel recorderd 2>/dev/null || true
  else
    say "kept: the recordings in $storage, the configuration in /etc/recorderd, the user recorderd"
  fi
  step "Done"
}

storage_of() {
  /usr/bin/python3 -c 'import sys, tomllib
storage = tomllib.load(open(sys.argv[1], "rb")).get("storage", {})
print(storage.get("directory", "/var/lib/recorderd"))' "$1" 2>/dev/null
}

case "$*" in
  "") install_all ;;
  --remove | "--remove --purge") remove_all "$@" ;;
  *) fail "it does not know: $*" "sh $0 [--remove [--purge]]" ;;
esac
