"""The cloud on one machine: the CDK app deployed to MiniStack, the function in the real Lambda runtime emulator."""
