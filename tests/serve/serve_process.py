"""serve_process.py - starts `muster serve` for the oracle scripts beside it, and ends it"""

import re
import signal
import subprocess
import sys


class Served:
    """with Served(muster, model) as url: ... ; the server must end by SIGTERM with status 0"""

    def __init__(self, muster, model, *options):
        self.command = [muster, "serve", "--model", model, "--port", "0", "--quiet", *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"listening on (http://\S+)", line)
        if not found:
            self.process.kill()
            raise RuntimeError(f"the server said {line!r}")
        return found.group(1)

    def __exit__(self, kind, *rest):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        if kind is None and status != 0:
            raise RuntimeError(f"the server ended with status {status}")


def arguments(modules):
    """muster's path and the model's; ends the script, saying so, when a Python package is missing"""
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            print(f"1..0 # skip the Python package {name} is missing")
            sys.exit(77)
    muster = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/muster"
    model = sys.argv[2] if len(sys.argv) > 2 else "models/muster-llama-tiny"
    return muster, model
