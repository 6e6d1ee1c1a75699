# Starts run.py by a Python that is new enough. The step of each action reads this file with `.` and
# names a command of run.py; so both search in the same way, and bash itself isn't searched for.
#
# -I and -S: nothing of the workspace, of PYTHON* or of site-packages is importable.
# exec: the runner's signals reach Python, which cleans up.
command=$1
if [ -n "$GITOPS_PROMOTE_PYTHON_PATH" ]; then
  set -- "$GITOPS_PROMOTE_PYTHON_PATH"
  problem="The input python-path names no Python of at least 3.10 that runs."
else
  set -- python3 python python3.14 python3.13 python3.12 python3.11 python3.10
  problem="This runner has no Python of at least 3.10 on its PATH."
fi
for python in "$@"; do
  if "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    exec "$python" -I -S -B -X utf8 "${BASH_SOURCE[0]%/*}/run.py" "$command"
  fi
done
fix="Install one (python3 with pip), or set python-path to the path of one."
echo "::error title=GitOps Promote::$problem $fix"
exit 1
