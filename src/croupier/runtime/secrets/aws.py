"""AWS Secrets Manager, by way of boto3 (the extra `aws`): region, endpoint and login as AWS's own tools find them."""

from __future__ import annotations

import json
from typing import Any, Final

from croupier.runtime.secrets.unavailable import STORE_ANSWER_S, STORE_CONNECT_S, SecretUnavailable

ATTEMPTS: Final = 2

_FIXES: Final = {
    "ResourceNotFoundException": "create it in this region and account, or correct the name",
    "AccessDeniedException": "allow secretsmanager:GetSecretValue on it to this role",
    "UnrecognizedClientException": "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role",
    "ExpiredTokenException": "renew the session's credentials",
    "InvalidRequestException": "restore it if it is marked for deletion",
    "DecryptionFailure": "allow kms:Decrypt with its key to this role",
}


def read_aws_secret(name: str, member: str | None) -> bytes:
    """The current value of a secret, or of one text member of its JSON object; raises SecretUnavailable."""
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
    except ImportError:
        raise SecretUnavailable(
            f"aws-sm:{name} needs boto3, which is not installed", "install croupier with the extra aws"
        ) from None
    bounds = Config(
        connect_timeout=STORE_CONNECT_S,
        read_timeout=STORE_ANSWER_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    try:
        client = boto3.session.Session().client("secretsmanager", config=bounds)
        answer = client.get_secret_value(SecretId=name)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise SecretUnavailable(
            f"AWS Secrets Manager refused aws-sm:{name}: {code}", _FIXES.get(code, "see what AWS says of it")
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise SecretUnavailable(
            f"AWS Secrets Manager could not be asked for aws-sm:{name}: {type(error).__name__}",
            "check AWS_REGION, AWS_ENDPOINT_URL, the credentials and the network",
        ) from None
    return _pick(name, member, answer)


def _pick(name: str, member: str | None, answer: dict[str, Any]) -> bytes:
    value = answer.get("SecretString")
    whole: bytes = answer.get("SecretBinary", b"") if value is None else value.encode()
    if member is None:
        return whole
    try:
        found = json.loads(whole)[member]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str):
        raise SecretUnavailable(
            f"aws-sm:{name} is no JSON object with a text member {member}", "correct the name after #"
        )
    return found.encode()
