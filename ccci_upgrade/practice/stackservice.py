"""One service's spec, as `docker stack deploy` makes it of compose files."""

from collections.abc import Mapping
from dataclasses import dataclass

from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.model.yamltree import Tree
from ccci_upgrade.practice.stackfiles import StackFiles, Table
from ccci_upgrade.practice.stackmounts import mount_spec
from ccci_upgrade.practice.stackparts import (
    IMAGE,
    LOCAL_NETWORKS,
    filled,
    in_order,
    labelled,
    network_keys,
    network_of,
    object_of,
    table,
    tables,
)

_RESTARTS = {"always": "any", "unless-stopped": "any", "on-failure": "on-failure"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ids:
    """The Engine's ids of configs and secrets, by their names."""

    configs: Mapping[str, str]
    secrets: Mapping[str, str]


class ServiceSpec:
    """One service on its way to a spec."""

    def __init__(self, files: StackFiles, key: str, service: Table, folder: str) -> None:
        self.files = files
        self.key = key
        self.said = service
        self.deploy = table(service.get("deploy"))
        self.folder = folder

    def spec(self, ids: Ids) -> Table:
        """Give the spec. Raises ComposeError for what Docker would refuse."""
        if not self.said.get("image"):
            raise ComposeError(f"services.{self.key}: no image")
        labels = labelled(self.files.stack, self.deploy.get("labels")) | {IMAGE: self.said["image"]}
        return filled(
            {
                "Name": f"{self.files.stack}_{self.key}",
                "Labels": labels,
                "TaskTemplate": filled(
                    {
                        "ContainerSpec": self._container(ids),
                        "LogDriver": self._log_driver(),
                        "Resources": self._resources(),
                        "RestartPolicy": self._restart_policy(),
                        "Placement": self._placement(),
                        "Networks": self._attachments(),
                    }
                ),
                "EndpointSpec": self._endpoint(),
                "Mode": self._mode(),
                "UpdateConfig": _update(self.deploy.get("update_config")),
                "RollbackConfig": _update(self.deploy.get("rollback_config")),
            }
        )

    def _container(self, ids: Ids) -> Table:
        said = self.said
        environment = table(said["environment"]).items()
        added, dropped = _capabilities(said.get("cap_add")), _capabilities(said.get("cap_drop"))
        spec: Table = {
            "Image": said["image"],
            "Command": said.get("entrypoint"),
            "Args": said.get("command"),
            "Hostname": said.get("hostname"),
            "Hosts": said.get("extra_hosts"),
            "DNSConfig": self._dns(),
            "Healthcheck": self._healthcheck(),
            "Env": list[Tree](sorted(k if v is None else f"{k}={v}" for k, v in environment)),
            "Labels": labelled(self.files.stack, said.get("labels")),
            "Dir": said.get("working_dir"),
            "User": said.get("user"),
            "Mounts": self._mounts(),
            "StopGracePeriod": said.get("stop_grace_period"),
            "StopSignal": said.get("stop_signal"),
            "TTY": said.get("tty"),
            "OpenStdin": said.get("stdin_open"),
            "ReadOnly": said.get("read_only"),
            "Secrets": self._uses("secrets", "Secret", ids.secrets),
            "Configs": self._uses("configs", "Config", ids.configs),
            "Init": said.get("init"),
            "Privileges": {},
            "Sysctls": said.get("sysctls"),
            "CapabilityAdd": list[Tree](sorted(added)),
            "CapabilityDrop": list[Tree](sorted(dropped - added)),
            "Ulimits": self._ulimits(),
            "OomScoreAdj": said.get("oom_score_adj"),
        }
        return filled(spec)

    def _mounts(self) -> Tree:
        where = f"services.{self.key}.volumes"
        said = tables(self.said.get("volumes"))
        return [mount_spec(self.files, where, mount, self.folder) for mount in said]

    def _dns(self) -> Tree:
        found = filled({"Nameservers": self.said.get("dns"), "Search": self.said.get("dns_search")})
        return found or None

    def _healthcheck(self) -> Tree:
        if "healthcheck" not in self.said:
            return None
        said = table(self.said["healthcheck"])
        if said.get("disable"):
            if said.get("test"):
                raise ComposeError(f"services.{self.key}.healthcheck: test and disable cannot both be set")
            return {"Test": ["NONE"]}
        return filled(
            {
                "Test": said.get("test"),
                "Interval": said.get("interval"),
                "Timeout": said.get("timeout"),
                "Retries": said.get("retries"),
                "StartPeriod": said.get("start_period"),
                "StartInterval": said.get("start_interval"),
            }
        )

    def _uses(self, section: str, word: str, ids: Mapping[str, str]) -> Tree:
        found: list[Table] = []
        for use in tables(self.said.get(section)):
            name = str(object_of(self.files, section, self.key, use)["name"])
            file: Table = {"Name": use["target"], "UID": use["uid"], "GID": use["gid"], "Mode": use["mode"]}
            if name not in ids:
                raise ComposeError(f"services.{self.key}: {word.lower()} not found: {name}")
            found.append({"File": file, f"{word}ID": ids[name], f"{word}Name": name})
        return in_order(found, f"{word}Name")

    def _ulimits(self) -> Tree:
        limits = table(self.said.get("ulimits")).items()
        return [
            {"Name": name, "Soft": table(said)["soft"], "Hard": table(said)["hard"]}
            for name, said in sorted(limits)
        ]

    def _log_driver(self) -> Tree:
        if "logging" not in self.said:
            return None
        said = table(self.said["logging"])
        return filled({"Name": said.get("driver"), "Options": said.get("options")})

    def _resources(self) -> Tree:
        said = table(self.deploy.get("resources"))
        found: Table = {}
        for key, name in (("limits", "Limits"), ("reservations", "Reservations")):
            if key in said:
                part = table(said[key])
                found[name] = filled(
                    {
                        "NanoCPUs": part.get("cpus"),
                        "MemoryBytes": part.get("memory"),
                        "Pids": part.get("pids"),
                    }
                )
        return found

    def _restart_policy(self) -> Tree:
        if "restart_policy" in self.deploy:
            said = table(self.deploy["restart_policy"])
            return filled(
                {
                    "Condition": said.get("condition"),
                    "Delay": said.get("delay"),
                    "MaxAttempts": said.get("max_attempts"),
                    "Window": said.get("window"),
                }
            )
        name, _, most = str(self.said.get("restart") or "no").partition(":")
        if name == "no":
            return None
        if name not in _RESTARTS or (most and not (most.isdecimal() and name == "on-failure")):
            raise ComposeError(f"services.{self.key}.restart: {name!r} is not supported")
        return filled({"Condition": _RESTARTS[name], "MaxAttempts": int(most or 0) or None})

    def _placement(self) -> Tree:
        said = table(self.deploy.get("placement"))
        spread = said.get("preferences")
        return filled(
            {
                "Constraints": said.get("constraints"),
                "Preferences": [
                    {"Spread": {"SpreadDescriptor": by}}
                    for by in (spread if isinstance(spread, list) else [])
                ],
                "MaxReplicas": said.get("max_replicas_per_node"),
            }
        )

    def _attachments(self) -> Tree:
        found: list[Table] = []
        used = table(self.said.get("networks"))
        for key in network_keys(self.said):
            target = str(network_of(self.files, key, self.key)["name"])
            said = table(used.get(key))
            aliases = said.get("aliases")
            named = list(aliases) if isinstance(aliases, list) else []
            if target not in LOCAL_NETWORKS:
                named.append(self.key)
            entry: Table = {"Target": target, "Aliases": named, "DriverOpts": said.get("driver_opts")}
            found.append(filled(entry))
        return in_order(found, "Target")

    def _endpoint(self) -> Tree:
        ports = [
            {
                "Protocol": port["protocol"],
                "TargetPort": port["target"],
                "PublishedPort": port["published"] or None,
                "PublishMode": port["mode"],
            }
            for port in tables(self.said.get("ports"))
        ]
        ports.sort(key=lambda port: (port["PublishedPort"] or 0, port["TargetPort"], str(port["Protocol"])))
        mode = self.deploy.get("endpoint_mode")
        return filled({"Mode": str(mode).lower() if mode else None, "Ports": [filled(p) for p in ports]})

    def _mode(self) -> Table:
        replicas = self.deploy.get("replicas")
        match mode := self.deploy.get("mode") or "replicated":
            case "replicated":
                return {"Replicated": filled({"Replicas": replicas})}
            case "replicated-job":
                return {"ReplicatedJob": filled({"MaxConcurrent": replicas, "TotalCompletions": replicas})}
            case "global" | "global-job" if replicas is None:
                return {"Global" if mode == "global" else "GlobalJob": {}}
        raise ComposeError(f"services.{self.key}.deploy: mode {mode!r} with {replicas} replicas")


def _update(said: Tree) -> Tree:
    if said is None:
        return None
    part = table(said)
    return filled(
        {
            "Parallelism": part.get("parallelism", 1),
            "Delay": part.get("delay"),
            "FailureAction": part.get("failure_action"),
            "Monitor": part.get("monitor"),
            "MaxFailureRatio": part.get("max_failure_ratio", 0),
            "Order": part.get("order"),
        }
    )


def _capabilities(said: Tree) -> set[str]:
    listed = said if isinstance(said, list) else []
    names = {str(name).strip().upper() for name in listed}
    full = {name if name.startswith("CAP_") or name == "ALL" else f"CAP_{name}" for name in names}
    return {"ALL"} if "ALL" in full else full
