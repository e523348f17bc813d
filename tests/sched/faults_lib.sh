# faults_lib.sh: what faults.sh here and the one of tests/slurm share. Sourced by bash after $dir and $log are there.
#
# $dir/news: a line an event of `muster run`, "TIME [n of m] TASK: task started"; $dir/faults: those of one campaign, "CAMPAIGN
# WHAT TASK TIME", TASK "-" where a fault is nobody's own; $log: "CAMPAIGN WHAT TASK NOTICED AGAIN", the seconds until the attempt
# is known to have failed, and until the task is started again: behind others, where no device is free.
now() { date +%s.%N; }
stamp() { while IFS= read -r line; do echo "$(now) $line"; done >>"$dir/news"; }
note() { echo "$campaigns $1 $2 $3" >>"$dir/faults"; } # WHAT TASK TIME
below() { local c; for c in $(pgrep -P "$1"); do echo "$c"; below "$c"; done; }

# Loading is not counted. "-": it had ended, or nothing failed or was started before the end.
recovered() {
    local c what task at
    while read -r c what task at; do
        awk -v c="$c" -v what="$what" -v task="$task" -v at="$at" '
            $1 <= at || (task != "-" && !index($0, "] " task ":")) { next }
            / attempt failed/ && !noticed && task != "-" { noticed = $1 }
            / task started/ { again = $1; exit }
            / task finished/ && task != "-" { exit }
            END {
                printf "%s %s %s %s %s\n", c, what, task, noticed ? sprintf("%.2f", noticed - at) : "-",
                       again ? sprintf("%.2f", again - at) : "-"
            }' "$dir/news"
    done <"$dir/faults" >>"$log"
}

figures() { # COLUMN WHAT: median and worst
    awk -v w="$2" -v k="$1" '$2 == w && $k != "-" { print $k }' "$log" | sort -n | awk '
        { a[NR] = $1 } END { printf "%6d %9s %8s", NR, NR ? a[int((NR + 1) / 2)] : "-", NR ? a[NR] : "-" }'
}
table() { # of $log
    echo "                                  noticed: median s  worst s   started again: median s  worst s"
    awk '{ print $2 }' "$log" | sort | uniq -c | while read -r n what; do
        printf '%-22s %6d  %s         %s\n' "$what" "$n" "$(figures 4 "$what")" "$(figures 5 "$what")"
    done
}
# Answers in the journals, each request's once; what was damaged or lost shows as a number other than an undisturbed run's.
answers() { # OUTPUT TASKS...
    python3 - "$@" <<'END'
import sqlite3, sys
for task in sys.argv[2:]:
    file = sqlite3.connect(f"file:{sys.argv[1]}/{task}/journal.sqlite?mode=ro", uri=True)
    print(task, *file.execute("select count(*), count(distinct key) from answer").fetchone())
END
}
