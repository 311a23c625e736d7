#!/bin/sh
# SPDX-License-Identifier: MIT
# check_format.sh SOURCE_DIR: fail on C that clang-format 14 would write another way.
set -eu
cd "$1"
git ls-files -z '*.c' '*.h' ':!tests/data' ':!tests/fuzz/corpus' |
    xargs -0 clang-format --dry-run --Werror
echo "$(git ls-files '*.c' '*.h' | wc -l) files formatted"
