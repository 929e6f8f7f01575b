# Stands for OpenWrt's /lib/functions.sh in the tests: how init scripts get at a configuration, by functions that its file calls, and
# what packages' scripts call. A package's user is made, its first settings are applied once, those of the kernel too, and its services are enabled, unless
# this is an upgrade, and started; before it goes they are disabled, unless it is for an upgrade, and stopped.
# shellcheck shell=dash
# shellcheck disable=SC3043,SC1090,SC2013,SC2154

record() { printf '%s\n' "$*" >>/record; }

reset_cb() {
	config_cb() { return 0; }
	option_cb() { return 0; }
	list_cb() { return 0; }
}
reset_cb

config_set() { eval "CONFIG_${1}_$2=\$3"; }
config_get() { eval "$1=\${CONFIG_${2}_$3:-\$4}"; }

# A configuration file is a program for the shell. A script that has a function of one of these names takes it away.
config() {
	section_count=$((section_count + 1))
	current_section=${2:-cfg$section_count}
	sections="$sections $current_section"
	config_set "$current_section" TYPE "$1"
	config_cb "$1" "$current_section"
}

option() {
	config_set "$current_section" "$1" "$2"
	option_cb "$1" "$2"
}

list() {
	local before
	config_get before "$current_section" "$1"
	config_set "$current_section" "$1" "$before${before:+ }$2"
	list_cb "$1" "$2"
}

config_load() {
	local known
	for known in $(set | sed -n 's/^\(CONFIG_[^=]*\)=.*/\1/p'); do unset "$known"; done
	section_count=0 sections='' current_section=''
	[ -e "/etc/config/$1" ] || return 1
	. "/etc/config/$1"
	${current_section:+config_cb}
}

config_foreach() {
	local ___function=$1 ___type=$2 section cfgtype
	shift 2
	for section in $sections; do
		config_get cfgtype "$section" TYPE
		[ "$cfgtype" != "$___type" ] || eval "$___function \"\$section\" \"\$@\""
	done
}

# Where the package manager keeps what it knows of $pkgname: opkg, or apk.
package_list() {
	if [ -f "/lib/apk/packages/$pkgname.list" ]; then
		echo "/lib/apk/packages/$pkgname.list"
	else
		echo "/usr/lib/opkg/info/$pkgname.list"
	fi
}

# OpenWrt gives packages' users the numbers from 65536 on.
add_group_and_user() {
	local user
	user=$(sed -n 's/^Require-User: *//p' "/usr/lib/opkg/info/$pkgname.control" 2>/dev/null)
	[ ! -f "/lib/apk/packages/$pkgname.rusers" ] || user=$(cat "/lib/apk/packages/$pkgname.rusers")
	user=${user%%:*}
	[ -z "$user" ] || grep -qs "^$user:" /etc/passwd || {
		echo "$user:x:65536:65536:$user:/var/run/$user:/bin/false" >>/etc/passwd
		echo "$user:x:65536:$user" >>/etc/group
	}
}

default_postinst() {
	local file pkgname=${pkgname:-$(basename "${1%.*}")}
	[ ! -e "/usr/lib/opkg/info/$pkgname.list" ] || add_group_and_user
	! grep -q '^/etc/sysctl.d/' "$(package_list)" || record /etc/init.d/sysctl restart
	for file in $(sed -n '/^\/etc\/uci-defaults\//p' "$(package_list)"); do
		# shellcheck disable=SC1090
		([ -f "$file" ] && cd "${file%/*}" && . "$file") && rm -f "$file"
	done
	for file in $(sed -n '/^\/etc\/init.d\//p' "$(package_list)"); do
		[ "${PKG_UPGRADE:-}" = 1 ] || "$file" enable
		"$file" start
	done
	return 0
}

default_prerm() {
	local file pkgname=${pkgname:-$(basename "${1%.*}")}
	for file in $(sed -n '/^\/etc\/init.d\//p' "$(package_list)"); do
		[ "${PKG_UPGRADE:-}" = 1 ] || "$file" disable
		"$file" stop
	done
}
