"""Commands on the path of ``public.ecr.aws/lambda/python:3.13``: Amazon Linux 2023 minimal and Lambda's Python.

Sources: aws-lambda-base-images issues 173 and 196 and amazon-linux-2023 issues 355 and 585, which list the packages
(bash, coreutils-single, grep, sed, gawk, curl-minimal, rpm, microdnf as ``dnf``, gnupg2-minimal, glibc). Not there:
find and xargs (findutils), tar, gzip, unzip, which, diff, ps, hostname, less, git, make and any compiler. A command
that is missing here although the base has it costs an edit; the reverse would cost a build that fails on AWS only.
"""

from __future__ import annotations

# The C library of Amazon Linux 2023.
GLIBC = (2, 34)

# What is left of coreutils in the package coreutils-single, as GNU coreutils 8.32 names it.
_COREUTILS = """
    [ arch b2sum base32 base64 basename basenc cat chcon chgrp chmod chown chroot cksum comm cp csplit cut date dd df
    dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install join link ln
    logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pinky pr printenv printf
    ptx pwd readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort
    split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq
    unlink users vdir wc who whoami yes
"""
_OTHERS = "bash sh grep egrep fgrep sed awk gawk curl rpm dnf microdnf gpg ldconfig"
_LAMBDA = "python python3 python3.13 pip pip3 pip3.13 aws-lambda-rie"
COMMANDS = frozenset(f"{_COREUTILS} {_OTHERS} {_LAMBDA}".split())

# What the shell has in itself (bash reference manual, 'Shell Builtin Commands').
_BUILTINS = """
    . : [ alias break builtin cd command continue declare echo eval exec exit export false getopts hash local printf
    pwd read readonly return set shift shopt source test trap true type typeset ulimit umask unset wait
"""
BUILTINS = frozenset(_BUILTINS.split())
