"""A permissions boundary in an account, and a role that has it."""

from __future__ import annotations

from infra import boundary

ACCOUNT = "111122223333"
REGION = "eu-central-1"
DOCUMENT = boundary.document(account=ACCOUNT)
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/{boundary.NAME}"
OWN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/Loupe-prod-ClassifierRole4B22115A-x"
BOUNDED = {"iam:PermissionsBoundary": POLICY}
