# The main job, as a teacher and a student do it: a course, a document, a link, a search, an answer that quotes. What it made
# it deletes. BASE_URL, TEACHER_EMAIL, TEACHER_PASSWORD, STUDENT_EMAIL and STUDENT_PASSWORD say where and as whom.
set -eu

say() { echo "main job: $*"; }
fail() { say "FAILED: $*"; exit 1; }
# `--insecure` where the gateway speaks TLS itself: its certificate is for its public name, not for the Service's.
ask() { curl --silent --show-error --insecure --fail-with-body --max-time 30 "$@"; }
id() { sed 's/^{"id":"\([^"]*\)".*/\1/'; }
token() {
    ask "$BASE_URL/api/auth/login" --json "{\"email\":\"$1\",\"password\":\"$2\"}" |
        sed 's/.*"access_token":"\([^"]*\)".*/\1/'
}

teacher="authorization: Bearer $(token "$TEACHER_EMAIL" "$TEACHER_PASSWORD")"
student="authorization: Bearer $(token "$STUDENT_EMAIL" "$STUDENT_PASSWORD")"
say "teacher and student are signed in"

# A word that is in no other document: what is found is what was sent.
word="congestion$(date +%s)"
course=$(ask "$BASE_URL/api/courses" -H "$teacher" --json "{\"title\":\"helm test $word\",\"description\":\"\",\"visibility\":\"open\"}" | id)
tidy() {
    ask -X DELETE "$BASE_URL/api/courses/$course" -H "$teacher" >/dev/null || say "the course $course is left"
}
trap tidy EXIT
printf '# Transport\n\nLe %s double la fenêtre à chaque aller-retour.\n' "$word" >/tmp/notes.md
file=$(ask "$BASE_URL/api/courses/$course/files" -H "$teacher" -F 'file=@/tmp/notes.md;type=text/markdown' | id)
ask -X PATCH "$BASE_URL/api/courses/$course" -H "$teacher" --json '{"status":"published"}' >/dev/null
say "course $course is published with file $file"

ask "$BASE_URL/api/courses/$course/enrolments" -H "$student" --json '{}' >/dev/null
ask "$BASE_URL/api/files/$file/link" -H "$student" | grep -q '"url"' || fail "no link"
say "the student is enrolled and has a link"

# The index follows: asked until it knows, for a minute at most.
tries=0
until ask -G "$BASE_URL/api/search" -H "$student" --data-urlencode "q=$word" | grep -q "$file"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || fail "the search does not find $word"
    sleep 1
done
say "the search finds it"

conversation=$(ask "$BASE_URL/api/chatbot/conversations" -H "$student" --json '{}' | id)
answer=$(ask -N "$BASE_URL/api/chatbot/conversations/$conversation/messages" -H "$student" -H 'accept: text/event-stream' \
    --json "{\"content\":\"Que double le $word ?\"}")
echo "$answer" | grep -q "$file" || fail "the answer does not quote the file: $answer"
say "the assistant quotes it: done"
