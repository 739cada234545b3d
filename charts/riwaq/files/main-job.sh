# The main job, as a teacher and a student do it: a course, a document, a link, a search, an answer that quotes. What it made
# it deletes. BASE_URL, TEACHER_EMAIL, TEACHER_PASSWORD, STUDENT_EMAIL and STUDENT_PASSWORD say where and as whom.
set -eu

say() { echo "main job: $*"; }
# Not to the output: that is often taken for an answer.
fail() { say "FAILED: $*" >&2; exit 1; }
# `--insecure` where the gateway speaks TLS itself: its certificate is for its public name, not for the Service's.
ask() { curl --silent --show-error --insecure --fail-with-body --max-time 30 "$@"; }
# WHAT, then curl's arguments: leaves the answer in `answer`. Not in a pipe, which would go on after a refusal.
must() {
    what=$1
    shift
    answer=$(ask "$@") || fail "$what: $answer"
}
# WHAT and a pattern, then curl's arguments: prints what the pattern's group is in the answer.
pick() {
    what=$1 pattern=$2
    shift 2
    must "$what" "$@"
    found=$(printf '%s\n' "$answer" | sed -n "s/$pattern/\1/p")
    [ -n "$found" ] || fail "$what: what was looked for is not in the answer"
    printf '%s\n' "$found"
}
id='^{"id":"\([^"]*\)".*'
# A text within one of JSON.
escaped() { printf '%s' "$1" | sed 's/["\\]/\\&/g'; }
# By the input: a password that is an argument is seen by whoever lists processes.
token() {
    printf '{"email":"%s","password":"%s"}' "$(escaped "$1")" "$(escaped "$2")" |
        pick "signing in as $1" '.*"access_token":"\([^"]*\)".*' "$BASE_URL/api/auth/login" --json @-
}

teacher=$(token "$TEACHER_EMAIL" "$TEACHER_PASSWORD")
teacher="authorization: Bearer $teacher"
student=$(token "$STUDENT_EMAIL" "$STUDENT_PASSWORD")
student="authorization: Bearer $student"
say "teacher and student are signed in"

course='' conversation=''
tidy() {
    [ -z "$conversation" ] || ask -X DELETE "$BASE_URL/api/chatbot/conversations/$conversation" -H "$student" >/dev/null ||
        say "the conversation $conversation is left"
    [ -z "$course" ] || ask -X DELETE "$BASE_URL/api/courses/$course" -H "$teacher" >/dev/null || say "the course $course is left"
}
trap tidy EXIT

# A word that is in no other document: what is found is what was sent.
word="congestion$(date +%s)"
course=$(pick "making a course" "$id" "$BASE_URL/api/courses" -H "$teacher" \
    --json "{\"title\":\"helm test $word\",\"description\":\"\",\"visibility\":\"open\"}")
printf '# Transport\n\nLe %s double la fenêtre à chaque aller-retour.\n' "$word" >/tmp/notes.md
file=$(pick "sending a document" "$id" "$BASE_URL/api/courses/$course/files" -H "$teacher" -F 'file=@/tmp/notes.md;type=text/markdown')
must "publishing" -X PATCH "$BASE_URL/api/courses/$course" -H "$teacher" --json '{"status":"published"}'
say "course $course is published with file $file"

must "enrolling" "$BASE_URL/api/courses/$course/enrolments" -H "$student" --json '{}'
pick "a link" '.*"url":"\([^"]*\)".*' "$BASE_URL/api/files/$file/link" -H "$student" >/dev/null
say "the student is enrolled and has a link"

# The index follows: asked until it knows, for a minute at most.
tries=0
until ask -G "$BASE_URL/api/search" -H "$student" --data-urlencode "q=$word" | grep -q "$file"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || fail "the search does not find $word"
    sleep 1
done
say "the search finds it"

conversation=$(pick "a conversation" "$id" "$BASE_URL/api/chatbot/conversations" -H "$student" --json '{}')
must "asking the assistant" -N "$BASE_URL/api/chatbot/conversations/$conversation/messages" -H "$student" \
    -H 'accept: text/event-stream' --json "{\"content\":\"Que double le $word ?\"}"
printf '%s\n' "$answer" | grep -q "$file" || fail "the answer does not quote the file: $answer"
say "the assistant quotes it: done"
