# SPDX-License-Identifier: Apache-2.0
# Debian packages for the guest, by apt on private lists with apt's own signature checks: unpacked
# into the cache, never installed. Sourced by scripts that have `say`, `die` and their folder, `here`.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/dmabuf-share/guest
lock=
work=
child=

# take_lock NAME : one download of that name at a time; whoever waited looks into the cache again.
take_lock() {
    mkdir -p "$cache"
    exec {lock}>"$cache/lock-$1"
    flock "$lock"
}

# Bounded, and in the background so that a signal to this script ends it at once.
bounded() {
    local status=0
    timeout --kill-after=5 "$@" {lock}>&- >&2 </dev/null &
    child=$!
    wait "$child" || status=$?
    child=
    return $status
}

# open_apt PURPOSE : a folder for the work, which ends with the script, and apt on lists of its own.
open_apt() {
    "$here/../Tools/apt-need" --why "$1" debian-archive-keyring
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap end_apt EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    : >"$work/status"
    quiet=(
        -q -o Dir::State::Lists="$work/lists" -o Dir::Cache::Archives="$work/archives"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
        -o Acquire::AllowInsecureRepositories=false -o APT::Update::Error-Mode=any
    )
    # The private directory is not readable for apt's own unprivileged user.
    [ "$(id -u)" != 0 ] || quiet+=(-o APT::Sandbox::User=root)
    private=(
        "${quiet[@]}" -o Dir::State::status="$work/status" -o Dir::Etc::SourceList="$work/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o APT::Architecture=amd64 -o APT::Architectures::=amd64
    )
    find_mirror
}
end_apt() {
    if [ -n "$child" ]; then kill "$child" 2>/dev/null || true; fi
    rm -rf "$work"
}

# The Debian mirror that this machine is configured for: no address is written down here.
find_mirror() {
    local format='$(REPO_URI) $(LABEL)'
    mirror=$(apt-get indextargets --format "$format" | awk '$2 == "Debian" { print $1; exit }')
    [ -z "$mirror" ] || return 0
    say "asking the configured package sources"
    bounded 300 apt-get "${quiet[@]}" update || die "the machine's package sources cannot be read"
    mirror=$(apt-get "${quiet[@]}" indextargets --format "$format" | awk '$2 == "Debian" { print $1; exit }')
    [ -n "$mirror" ] || die "no Debian mirror among this machine's package sources"
}

# update KEYRING SUITE… : fresh lists of just these suites, signatures checked against KEYRING
update() {
    local keyring=$1 suite
    shift
    rm -rf "$work/lists"; mkdir -p "$work/lists/partial"
    for suite; do
        echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main"
    done >"$work/sources.list"
    bounded 300 apt-get "${private[@]}" update 2>"$work/update.log"
}

# fetch PACKAGE=VERSION… : the .deb files in $work/deb, checked by apt against the signed lists
fetch() {
    rm -rf "$work/deb"; mkdir "$work/deb"
    (cd "$work/deb" && exec timeout --kill-after=5 1800 apt-get "${private[@]}" download "$@") </dev/null >&2 {lock}>&- &
    child=$!
    wait "$child" || { child=; return 1; }
    child=
}

# unpack DIRECTORY
unpack() {
    local deb
    for deb in "$work"/deb/*.deb; do dpkg-deb -x "$deb" "$1"; done
}

machine_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$machine_keyring" ] || machine_keyring=${machine_keyring%.gpg}.pgp
keyring=$machine_keyring
# An older machine may lack the key of a newer suite: take it from the newest keyring package of the
# suites whose keys it has, which apt verifies like any other package.
newer_keyring() {
    local suites suite version
    suites=$(apt-get indextargets --format '$(CODENAME) $(LABEL)' | awk '$2 == "Debian" { print $1 }' | sort -u)
    for suite in $suites bookworm-updates bookworm-backports bookworm; do
        update "$machine_keyring" "$suite" || continue
        version=$(packages '^debian-archive-keyring$' | tail -1 | cut -d' ' -f2)
        [ -n "$version" ] || continue
        echo "$version $suite"
    done | sort -V | tail -1 >"$work/keyring.found"
    read -r version suite <"$work/keyring.found" || return 1
    say "taking debian-archive-keyring $version from $suite"
    update "$machine_keyring" "$suite" || return 1
    fetch "debian-archive-keyring=$version" || return 1
    unpack "$work/keyring"
    keyring=$(find "$work/keyring" -name debian-archive-keyring.gpg -o -name debian-archive-keyring.pgp | sort | head -1)
    [ -n "$keyring" ]
}

# packages PATTERN : "name version" of the listed packages that match, oldest first
packages() {
    apt-cache "${private[@]}" dumpavail | awk -v pattern="$1" '
        /^Package: / { name = $2 } /^Version: / { version = $2 }
        /^$/ { if (name ~ pattern) print name, version; name = "" }
        END { if (name ~ pattern) print name, version }' |
        grep -v -E -e '-(cloud|rt)-amd64 |-(dbg|unsigned) ' | sort -V || true
}

# read_lists SUITE… : lists of just these suites, with the keys of this machine or newer ones
read_lists() {
    say "looking in $*"
    update "$keyring" "$@" && return
    if grep -q NO_PUBKEY "$work/update.log" && newer_keyring && update "$keyring" "$@"; then return; fi
    cat "$work/update.log" >&2
    return 1
}

# publish NAME DIRECTORY : the cache's name for what it holds now, in one step
publish() {
    ln -sfn "$2" "$cache/link.$$"
    mv -T "$cache/link.$$" "$cache/$1"
}
