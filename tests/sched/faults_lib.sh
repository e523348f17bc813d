# faults_lib.sh: what faults.sh here and the one of tests/slurm share. Sourced by bash after $dir and $log are there.
#
# $dir/faults: those of one campaign, "CAMPAIGN WHAT TASK TIME", TASK "-" where a fault is nobody's own; $log: what recovery.py
# makes of them, "CAMPAIGN WHAT TASK NOTICED AGAIN BUSY".
now() { date +%s.%N; }
note() { echo "$campaigns $1 $2 $3" >>"$dir/faults"; } # WHAT TASK TIME
below() { local c; for c in $(pgrep -P "$1"); do echo "$c"; below "$c"; done; }

recovered() { # OUTPUT DEVICES A_NODE
    python3 "$(dirname "${BASH_SOURCE[0]}")/recovery.py" "$1/campaign.sqlite" "$dir/faults" "$2" "$3" >>"$log" || fail "campaign $campaigns: no times"
}

# Of a column less another: how many there are, their median, the worst.
figures() { # WHAT COLUMN [LESS]
    awk -v w="$1" -v k="$2" -v less="${3:-0}" '$2 == w && $k != "-" { printf "%.2f\n", $k - (less ? $less : 0) }' "$log" | sort -n | awk '
        { a[NR] = $1 } END { printf "%5d %7s %7s", NR, NR ? a[int((NR + 1) / 2)] : "-", NR ? a[NR] : "-" }'
}
# Started again: without the wait for a device. That wait: of those who had to.
table() { # of $log
    echo "                         noticed: median  worst   started again: median  worst   waited for a device: median  worst"
    awk '{ print $2 }' "$log" | sort | uniq -c | while read -r n what; do
        printf '%-18s %4d   %s      %s          %s\n' "$what" "$n" "$(figures "$what" 4)" "$(figures "$what" 5 6)" \
            "$(figures "$what" 6)"
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
