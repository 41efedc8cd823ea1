# Sourced by quickstart.sh and tests/run.sh: makes a virtual environment on a bare machine.
# usage: make_environment FOLDER PIP-ARGUMENT...

make_environment() {
    folder=$1
    shift
    python=${PYTHON:-python3}
    missing=""
    "$python" -c 'import ensurepip' 2>/dev/null || missing="$missing ${python##*/}-venv"
    if command -v dpkg >/dev/null; then # OpenCV's wheels link to these two; a server's Debian has neither
        libraries=$(PATH="$PATH:/sbin:/usr/sbin" && ldconfig -p) # which is not in a user's PATH
        case $libraries in *libGL.so.1*) ;; *) missing="$missing libgl1" ;; esac
        case $libraries in *libglib-2.0.so.0*) ;; *) missing="$missing libglib2.0-0" ;; esac
    fi
    if [ -n "$missing" ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing
        else
            echo "needs Debian packages:  sudo apt-get install$missing" >&2
            return 1
        fi
    fi
    "$python" -m venv "$folder" && "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}
