# Stands for OpenWrt's /lib/functions/network.sh: /networks has lines of network and device.
# shellcheck shell=dash
# shellcheck disable=SC3043

network_get_device() {
	local device
	device=$(sed -n "s/^$2 //p" /networks)
	[ -n "$device" ] && eval "$1=\$device"
}
