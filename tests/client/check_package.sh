#!/bin/sh
# SPDX-License-Identifier: MIT
# check_package.sh BUILD_DIR SOURCE_DIR: install the library somewhere, build an example against it
# by CMake and by pkg-config, as a stranger would, and run both without a daemon.
set -eu
build=$1
source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cmake --install "$build" --component libxhr --prefix "$dir/usr" >/dev/null
lib=$(dirname "$(find "$dir/usr" -name libxhr.so)")
cmake -S "$source/tests/client/package" -B "$dir/build" -G Ninja -DCMAKE_PREFIX_PATH="$dir/usr" \
    -DSOURCE="$source/client-lib/examples/fetch.c" >/dev/null
cmake --build "$dir/build" >/dev/null
export PKG_CONFIG_PATH="$lib/pkgconfig"
# shellcheck disable=SC2046 # words are wanted
cc -std=c99 -o "$dir/by_pkg_config" "$source/client-lib/examples/fetch.c" \
    $(pkg-config --cflags --libs libxhr)

for program in "$dir/build/program" "$dir/by_pkg_config"; do
    said=$(LD_LIBRARY_PATH=$lib XHRD_SOCKET=$dir/none "$program" http://a.test/ 2>&1) && exit 1
    case $said in
    *"no daemon at $dir/none"*) ;;
    *) echo "$program said: $said" && exit 1 ;;
    esac
done
# The optional part, where it was built: a library, a header and a pkg-config file of its own.
if [ -f "$build/client-lib/xml/libxhr-xml.pc" ]; then
    if [ -e "$dir/usr/include/xhr/xml.h" ] || [ -e "$lib/libxhr-xml.so" ]; then
        echo "libxhr alone brought libxhr-xml" && exit 1
    fi
    cmake --install "$build" --component libxhr-xml --prefix "$dir/usr" >/dev/null
    # shellcheck disable=SC2046 # words are wanted
    cc -std=c99 -o "$dir/feed" "$source/client-lib/xml/feed.c" \
        $(pkg-config --cflags --libs libxhr-xml)
    said=$(LD_LIBRARY_PATH=$lib XHRD_SOCKET=$dir/none "$dir/feed" http://a.test/ 2>&1) && exit 1
    case $said in
    *"no daemon at $dir/none"*) ;;
    *) echo "feed said: $said" && exit 1 ;;
    esac
fi
echo "a stranger's program builds and runs"
