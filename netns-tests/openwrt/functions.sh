# Stands for OpenWrt's /lib/functions.sh in the tests, where packages' scripts find what they run: the user of the package is
# made, its first settings are applied once, and its service is enabled, and started unless this is an upgrade.
# shellcheck shell=dash
# shellcheck disable=SC3043,SC1090,SC2013

record() { printf '%s\n' "$*" >>/record; }

# OpenWrt gives packages' users the numbers from 65536 on.
add_group_and_user() {
	local user
	user=$(sed -n 's/^Require-User: \([^:]*\):.*/\1/p' "/usr/lib/opkg/info/$1.control")
	[ -z "$user" ] || grep -qs "^$user:" /etc/passwd || {
		echo "$user:x:65536:65536:$user:/var/run/$user:/bin/false" >>/etc/passwd
		echo "$user:x:65536:$user" >>/etc/group
	}
}

default_postinst() {
	local name list file
	name=$(basename "${1%.*}")
	list=/usr/lib/opkg/info/$name.list
	add_group_and_user "$name"
	for file in $(sed -n 's!^/etc/uci-defaults/!!p' "$list"); do
		(cd /etc/uci-defaults && [ -f "$file" ] && . "./$file") && rm -f "/etc/uci-defaults/$file"
	done
	for file in $(sed -n '/^\/etc\/init.d\//p' "$list"); do
		record "$file enable"
		[ "${PKG_UPGRADE:-}" = 1 ] || "$file" start
	done
}
