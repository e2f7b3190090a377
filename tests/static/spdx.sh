#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each source and each script says its licence, in one line at its top.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

sources() {
    project_files '*.c' '*.h' '*.S' '*.py' '*.cocci' '*meson.build' meson_options.txt Makefile \
        '*.sh' '*.allow'
    project_scripts
}

check() {
    local file line
    for file in "${files[@]}"; do
        # Behind the #! line, or first.
        line=$(head -n 2 -- "$file")
        case $file in
            *.c|*.h|*.S) [[ ${line%%$'\n'*} == '/* SPDX-License-Identifier: MIT */' ]] ;;
            *.cocci) [[ ${line%%$'\n'*} == '// SPDX-License-Identifier: MIT' ]] ;;
            *) [[ $'\n'$line$'\n' == *$'\n# SPDX-License-Identifier: MIT\n'* ]] ;;
        esac || echo "$file:1: no SPDX-License-Identifier line"
    done
}

mapfile -t files < <(sources | sort -u)
complaints=$(check)
conclude ${#files[@]} 'sources and scripts' "$complaints"
