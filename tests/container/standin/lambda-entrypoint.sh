#!/bin/sh
# As the AWS base starts: the image's command is the handler, and without a runtime API the emulator brings one.
export _HANDLER="$1"
if [ -n "$AWS_LAMBDA_RUNTIME_API" ]; then
    exec /var/runtime/bootstrap
fi
exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
