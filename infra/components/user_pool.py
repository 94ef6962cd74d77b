"""A Cognito user pool for machine clients: resource server, scopes, one client with a secret."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.deployment import Deployment
from infra.settings.auth import CognitoSettings


class MachineUserPool(Construct):
    """A pool without users: its client requests tokens with its ID and secret (client credentials grant).

    Attributes
    ----------
    outputs
        Of the stack: value and description by name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: CognitoSettings,
    ) -> None:
        super().__init__(scope, id)
        self.pool = cognito.UserPool(
            self,
            "Pool",
            user_pool_name=deployment.name,
            self_sign_up_enabled=False,
            account_recovery=cognito.AccountRecovery.NONE,
            password_policy=cognito.PasswordPolicy(
                min_length=16, require_lowercase=True, require_uppercase=True, require_digits=True, require_symbols=True
            ),
            removal_policy=deployment.removal_policy,
        )
        names = [text.partition("/") for text in settings.scopes]
        scopes = [cognito.ResourceServerScope(scope_name=name, scope_description=name) for _, _, name in names]
        server = self.pool.add_resource_server("Server", identifier=names[0][0], scopes=scopes)
        client = self.pool.add_client(
            "Client",
            user_pool_client_name=f"{deployment.name}-machine",
            generate_secret=True,
            auth_flows=cognito.AuthFlow(),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(client_credentials=True),
                scopes=[cognito.OAuthScope.resource_server(server, scope) for scope in scopes],
            ),
            access_token_validity=cdk.Duration.minutes(settings.token_minutes),
            enable_token_revocation=True,
            prevent_user_existence_errors=True,
        )
        # Prefixes are unique in a region over all accounts, so the default contains the account ID.
        prefix = settings.domain_prefix or f"{deployment.name}-{cdk.Aws.ACCOUNT_ID}"
        domain = self.pool.add_domain("Domain", cognito_domain=cognito.CognitoDomainOptions(domain_prefix=prefix))
        self.outputs = {
            "UserPoolId": (self.pool.user_pool_id, "The user pool whose tokens let callers in"),
            "UserPoolClientId": (
                client.user_pool_client_id,
                "aws cognito-idp describe-user-pool-client shows its secret",
            ),
            "TokenUrl": (f"{domain.base_url()}/oauth2/token", "Where the client gets its tokens"),
        }
        acknowledge(
            self.pool,
            "AwsSolutions-COG2",
            "The pool has no users and nobody can sign up: its client is a machine, which has no second factor.",
        )
        acknowledge(
            self.pool,
            "AwsSolutions-COG8",
            "Threat protection looks at sign-ins of users, and there are none; it says nothing of client credentials.",
        )
