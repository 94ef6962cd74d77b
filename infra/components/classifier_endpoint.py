"""The whole endpoint as one construct: function, API, authorization, firewall, domain, monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from constructs import Construct

from infra import base_image
from infra.cards import check_arms, check_golden, check_memory, needed_files, read_card
from infra.challenger import check_challenger
from infra.components.api import ClassifierApi
from infra.components.auth import ApiAuth
from infra.components.budget import add_budget
from infra.components.bulk import Bulk
from infra.components.classifier_function import ClassifierFunction
from infra.components.costs import Costs
from infra.components.experiment import Experiment
from infra.components.firewall import add_firewall
from infra.components.jwt_authorizer import add_jwt_authorizer
from infra.components.monitoring import Monitoring
from infra.components.network import add_domain
from infra.components.release import Release
from infra.components.saved_queries import SavedQueries
from infra.components.shadow import Shadow
from infra.components.tracing import add_sampling_rule
from infra.contract import read_contract
from infra.deployment import Deployment
from infra.notices import add_notices
from infra.settings import Settings
from infra.sources import Sources
from infra.throttles import open_burst


class ClassifierEndpoint(Construct):
    """One model as an HTTPS endpoint, for a stack of this project or of another CDK app.

    It reads no ``cdk.json``. The function's source and the API's contract come from `sources`, by default the package
    data of the wheel::

        endpoint = ClassifierEndpoint(
            stack,
            "Flowers",
            model=Path("models/flowers"),
            settings=Settings(environment="flowers"),
        )
        endpoint.monitoring.add_alarm("Quiet", ...)
        endpoint.api.root.add_resource("about").add_method("GET", ...)

    Parameters
    ----------
    model
        Folder with ``card.json`` and the files that it names. It is served in place of ``settings.model``.
    settings
        ``environment`` begins every physical name, ``loupe-<environment>``, so it is unique in an account and region.
    deployment
        What the components share; by default what the settings ask for.

    Attributes
    ----------
    card
        Name, version and labels of the model.
    api
        The REST API, for routes beside the contract's.
    function, alias
        The classifier. `alias` is what the API invokes.
    monitoring
        Takes further alarms and dashboard rows.
    url
        Base of all routes, with a slash at its end.
    outputs
        What clients and operators need: value and description by name, for ``CfnOutput``.

    Raises
    ------
    SettingsError
        If the settings cannot be deployed together, or the model could not be served.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        model: Path,
        settings: Settings,
        deployment: Deployment | None = None,
        sources: Sources | None = None,
    ) -> None:
        super().__init__(scope, id)
        sources = sources or Sources()
        base_image.require(settings, sources.base_lock)
        files = needed_files(settings.image)
        self.card = read_card(model.parent, model.name, files=files, function=sources.function)
        deployment = deployment or Deployment.create(self, settings)
        contract = read_contract(sources.contract)
        names = [entry.name for entry in settings.models if entry.name != model.name]
        others = {name: read_card(model.parent, name, files=files, function=sources.function) for name in names}
        check_memory([self.card, *others.values()], settings)
        if settings.release.gradual and settings.release.hooks and files != "none":
            check_golden(model.parent, [model.name, *others])
        if settings.experiment:
            check_arms({model.name: self.card, **others}, settings.experiment.arms)
        challenger = None
        if (name := settings.shadow.challenger) is not None:
            challenger = read_card(model.parent, name, files=files, function=sources.function, key="shadow.challenger")
            check_challenger(self.card, challenger, settings.shadow)
        if others:
            contract = contract.with_models([model.name, *others])
        self.monitoring = Monitoring(self, "Monitoring", deployment=deployment, settings=settings.alarms)
        classifier = ClassifierFunction(
            self,
            "Classifier",
            deployment=deployment,
            model=model,
            image=settings.image,
            function=settings.function,
            inputs=settings.inputs,
            scaling=settings.scaling,
            cache=settings.cache,
            others=[entry for entry in settings.models if entry.name in others],
            experiment=settings.experiment,
            unserved_models=[challenger.name] if challenger is not None and challenger.name not in others else [],
            cors_origins=settings.api.cors_origins,
            domain=settings.network.domain.name if settings.network.domain else None,
            sources=sources,
        )
        experiment = (
            Experiment(self, "Experiment", deployment=deployment, settings=settings.experiment, role=classifier.role)
            if settings.experiment
            else None
        )
        authorizer = add_jwt_authorizer(
            self, deployment=deployment, settings=settings.auth.jwt, function=settings.function, sources=sources
        )
        auth = ApiAuth(
            self,
            "Callers",
            deployment=deployment,
            settings=settings.auth,
            clients=settings.clients,
            authorizer=authorizer.authorizer if authorizer else None,
        )
        bulk = (
            Bulk(
                self,
                "Bulk",
                deployment=deployment,
                settings=settings.bulk,
                image=classifier.image,
                variables=classifier.variables,
                locations=settings.inputs.s3.locations,
                auth_mode=settings.auth.mode,
            )
            if settings.bulk.enabled
            else None
        )
        shadow = (
            Shadow(
                self,
                "Shadow",
                deployment=deployment,
                settings=settings.shadow,
                champion=self.card,
                challenger=challenger,
                classifier=classifier,
            )
            if challenger is not None
            else None
        )
        if bulk is not None:
            # Its contract lists the job routes.
            classifier.function.add_environment("LOUPE_JOBS", "true")
        release = (
            Release(
                self,
                "Release",
                deployment=deployment,
                settings=settings.release,
                classifier=classifier,
                reserved=settings.function.reserved_concurrency is not None,
                codedeploy=not settings.local,
            )
            if settings.release.gradual
            else None
        )
        if release is not None and bulk is not None:
            # Jobs get the new version once it has passed its release.
            for alias in (bulk.alias, bulk.jobs):
                alias.node.add_dependency(classifier.alias)
        api = ClassifierApi(
            self,
            "Api",
            deployment=deployment,
            target=classifier.alias,
            settings=settings.api,
            auth=auth,
            network=settings.network,
            open_burst=open_burst(settings, contract),
            timeout=classifier.timeout,
            contract=contract,
            jobs=bulk.jobs if bulk else None,
        )
        stage = api.api.deployment_stage
        add_sampling_rule(
            self, deployment=deployment, stage=settings.api.stage, settings=settings.function.trace_sampling
        )
        firewall = add_firewall(
            self,
            deployment=deployment,
            settings=settings.firewall,
            stage=stage,
            image_paths=contract.image_paths,
            clients=settings.clients,
        )
        domain = add_domain(self, settings=settings.network.domain, stage=stage)
        costs = Costs(
            function=classifier.function,
            stage=stage,
            own=classifier.metrics[model.name],
            memory_mib=settings.function.memory_mib,
            architecture=settings.function.architecture,
        )
        parts = (release, experiment, bulk, shadow, firewall, authorizer)
        self.monitoring.add(api, classifier, costs, *(part for part in parts if part))
        add_budget(self, settings=settings.alarms.budget, topic=self.monitoring.topic)
        if settings.alarms.saved_queries:
            SavedQueries(
                self,
                "Queries",
                deployment=deployment,
                function_log=classifier.container.log_group,
                access_log=api.access_log,
                caller_field=next(iter(auth.log_fields())),
            )
        add_notices(self, settings)

        self.api, self.function, self.alias = api.api, classifier.function, classifier.alias
        self.url = domain.url if domain else api.url
        self.outputs: Mapping[str, tuple[str, str | None]] = {
            **({"DomainTarget": (domain.target, "What the domain's record points to")} if domain else {}),
            "Url": (self.url, "Where the routes begin"),
            "FunctionName": (self.function.function_name, None),
            "FunctionAlias": (self.alias.function_arn, "What the API calls"),
            "AlarmTopicArn": (self.monitoring.topic.topic_arn, None),
            **(experiment.outputs if experiment else {}),
            **(bulk.outputs if bulk else {}),
            **auth.outputs,
        }
