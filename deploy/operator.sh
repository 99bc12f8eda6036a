#!/bin/sh
# The operator's command on a host without containers (docs/DEPLOYMENT.md, "Without containers"):
# rtap as the user of the units, in their folder, beside their sockets, and to the bus as the
# user operator, whose password /etc/rtap/operator.env holds.
#
#   sudo ln -s /opt/rtap/deploy/operator.sh /usr/local/bin/rtap, then: sudo rtap top
set -eu
etc=${RTAP_ETC:-/etc/rtap} user=${RTAP_OPERATOR_USER:-rtap}
if [ ! -r "$etc/operator.env" ]; then
  echo "rtap: $etc/operator.env is not there, or not yours to read: it holds RTAP_OPERATOR_PASSWORD, and its reader is root: sudo rtap …" >&2
  exit 2
fi
export RTAP_RUNTIME_DIR=/run/rtap RTAP_LOG__DIR=/var/log/rtap
set -a
# shellcheck disable=SC1090,SC1091 # the host's own
[ ! -r "$etc/common.env" ] || . "$etc/common.env"
# shellcheck disable=SC1090,SC1091
. "$etc/operator.env"
set +a
cd "$(dirname "$(readlink -f "$0")")/.."
[ "$(id -un)" != "$user" ] || exec bin/rtap "$@"
exec runuser -u "$user" -- bin/rtap "$@"
