# The handler: an event in, an answer out.
handler() {
  echo "the event is $1" >&2
  printf '{"shell": true, "event": %s}' "$1"
}
