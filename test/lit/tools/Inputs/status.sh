# status.sh WANTED COMMAND...: succeed when COMMAND exits with the status WANTED.
wanted=$1
shift
"$@"
got=$?
[ "$got" -eq "$wanted" ] || { echo "exit status $got, wanted $wanted"; exit 1; }
