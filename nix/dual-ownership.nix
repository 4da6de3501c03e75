# Refuses a host that would deploy or upgrade, by itself, an app that people upgrade: two owners undo each other's
# work. What is looked at is what evaluation can see: names and texts. A program in the store with a neutral name is
# not seen here; `ccci-upgrade doctor` looks at the host itself.
{
  config,
  lib,
  ...
}:
let
  cfg = config.ccci.host;
  owning = import ./owning.nix {
    inherit lib;
    inherit (cfg) forbiddenApps legacyReconcilers;
  };

  # Only looked at: what a text refers to need not be built for that, and may stand in no name.
  seen = value: builtins.unsafeDiscardStringContext (toString value);

  found =
    what: set: judge:
    lib.concatMap (
      name:
      lib.optional (judge name set.${name}) {
        inherit name;
        what = "${what}.${name}";
      }
    ) (lib.attrNames set);

  scripts =
    service:
    map (key: seen (service.${key} or "")) [
      "script"
      "preStart"
      "postStart"
      "reload"
      "preStop"
      "postStop"
    ];
  programs =
    service:
    lib.concatMap (key: map seen (lib.toList (service.serviceConfig.${key} or [ ]))) [
      "ExecStartPre"
      "ExecStart"
      "ExecStartPost"
      "ExecReload"
      "ExecStop"
      "ExecStopPost"
    ];
  variables = service: lib.mapAttrsToList (_: seen) (service.environment or { });

  fromServices =
    app: what: services:
    found what services (
      name: service:
      (service.enable or true)
      && (
        owning.byName app name
        || owning.byText app (lib.concatStringsSep "\n" (scripts service ++ programs service ++ variables service))
        || lib.any (owning.byProgram app) (programs service)
      )
    );

  fromTimers =
    app:
    found "systemd.timers" (config.systemd.timers or { }) (
      name: timer:
      (timer.enable or true)
      && (owning.byName app name || owning.byName app (timer.timerConfig.Unit or ""))
    );

  fromActivation =
    app:
    found "system.activationScripts" (config.system.activationScripts or { }) (
      name: script:
      # NixOS adds one named `script`, which is all others.
      name != "script"
      && (
        owning.byName app name
        || owning.byText app (seen (if builtins.isAttrs script then script.text or "" else script))
      )
    );

  fromCron =
    app:
    map
      (line: {
        name = "";
        what = "services.cron.systemCronJobs: ${line}";
      })
      (
        lib.filter (line: owning.byText app line || owning.byProgram app line) (
          map seen (config.services.cron.systemCronJobs or [ ])
        )
      );

  # Programs in containers that put newer images into services by themselves.
  updaters = [
    "watchtower"
    "shepherd"
    "gantry"
    "ouroboros"
  ];
  imageName = image: lib.head (lib.splitString ":" (lib.head (lib.splitString "@" (baseNameOf image))));

  fromContainers =
    app:
    found "virtualisation.oci-containers.containers" (config.virtualisation.oci-containers.containers or { }) (
      name: container:
      owning.byName app name || lib.elem (imageName (seen (container.image or ""))) ([ app ] ++ updaters)
    );

  fromNative =
    app:
    # Most apps have no such service, and then no such option.
    lib.optional (config.services.${app}.enable or false) {
      name = app;
      what = "services.${app}.enable";
    };

  isAllowed = owner: lib.elem (owning.plain owner.name) (map owning.plain cfg.allowedUnits);
  owners =
    app:
    map (owner: owner.what) (
      lib.filter (owner: !isAllowed owner) (
        fromServices app "systemd.services" (config.systemd.services or { })
        ++ fromServices app "systemd.user.services" (config.systemd.user.services or { })
        ++ fromTimers app
        ++ fromActivation app
        ++ fromCron app
        ++ fromContainers app
        ++ fromNative app
      )
    );

  assertionOf =
    app:
    let
      listed = owners app;
    in
    {
      assertion = listed == [ ];
      message =
        "ccci.host: ${app} has another owner on this host, and is upgraded by maintainers with abra (ccci-upgrade"
        + " upgrade). Remove:\n"
        + lib.concatMapStringsSep "\n" (what: "  - ${what}") listed
        + "\nWhat only looks like an owner is named in ccci.host.allowedUnits.";
    };
in
{
  config = lib.mkIf cfg.enable { assertions = map assertionOf cfg.forbiddenApps; };
}
