# Refuses a host that would deploy or upgrade, by itself, an app that people upgrade: two owners undo each other's
# work. What is looked at is what evaluation can see: names and texts. A program in the store with a neutral name is
# not seen here; `ccci-upgrade doctor` looks at the host itself.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.ccci.host;

  # -- names ----------------------------------------------------------------------------------------------------

  # Together with an app these make an owner's name, in any order: `upgrade-traefik`, `nightly-keycloak-deploy`.
  # Any other word tells it apart: a drone-runner-exec, a keycloak-backup or a deploy-bridge is none.
  acting = [
    "deploy"
    "redeploy"
    "reconcile"
    "reconciler"
    "upgrade"
    "update"
    "warm"
    "roll"
    "sweep"
  ];
  neutral = [
    "abra"
    "app"
    "auto"
    "cc"
    "ci"
    "nightly"
    "weekly"
    "daily"
    "sh"
    "py"
  ];

  parts = name: lib.filter builtins.isString (builtins.split "[-@_.]+" name);
  plain = name: lib.removeSuffix ".timer" (lib.removeSuffix ".service" name);

  ownsByName =
    app: name:
    let
      all = parts (plain name);
    in
    plain name == app
    || lib.elem app all
      && lib.any (part: lib.elem part acting) all
      && lib.all (part: part == app || part == "" || lib.elem part acting || lib.elem part neutral) all
    || lib.elem app (cfg.legacyReconcilers.${plain name} or [ ]);

  # -- texts ----------------------------------------------------------------------------------------------------

  # Short pieces only: the regular expressions of Nix end it with a stack overflow on long ones.
  words =
    line:
    map (builtins.substring 0 500) (
      first 300 (lib.filter (word: builtins.isString word && word != "") (builtins.split "[[:space:]]+" line))
    );
  first = most: list: if builtins.length list <= most then list else builtins.genList (builtins.elemAt list) most;

  commands =
    text:
    let
      joined = builtins.replaceStrings [ "\\\n" ] [ " " ] text;
      split = builtins.replaceStrings [ ";" "&" "|" "$(" "`" ] [ "\n" "\n" "\n" "\n" "\n" ] joined;
      bare = builtins.replaceStrings [ "\"" "'" "(" ")" "[" "]" "," "{" "}" ] [ " " " " " " " " " " " " " " "" "" ] split;
    in
    lib.filter (command: command != [ ] && !said (lib.head command)) (
      map (line: uncommented (words line)) (lib.splitString "\n" bare)
    );
  uncommented =
    all: if all == [ ] || lib.hasPrefix "#" (lib.head all) then [ ] else [ (lib.head all) ] ++ uncommented (lib.tail all);
  said =
    word:
    lib.elem word [
      "echo"
      "printf"
      "logger"
    ];

  after = program: all: if all == [ ] then [ ] else if baseNameOf (lib.head all) == program then lib.tail all else after program (lib.tail all);
  contains = part: text: builtins.replaceStrings [ part ] [ "" ] text != text;

  verbs = {
    abra = lib.concatMap (group: map (verb: "${group} ${verb}") [ "deploy" "d" "upgrade" "up" "rollback" "rl" "undeploy" "un" "new" ]) [ "app" "a" ];
    docker = [
      "stack deploy"
      "stack up"
      "stack rm"
      "service create"
      "service update"
      "service rollback"
      "service scale"
      "service rm"
    ];
    ccci-upgrade = [
      "upgrade"
      "rollback"
      "redeploy"
      "snapshot restore"
    ];
  };

  changes =
    command:
    let
      acts = program: " ${lib.concatStringsSep " " (lib.filter (word: !lib.hasPrefix "-" word) (after program command))} ";
    in
    !lib.elem "--dry-run" command
    && (
      lib.any (program: lib.any (verb: contains " ${verb} " (acts program)) verbs.${program}) (lib.attrNames verbs)
      || lib.any (word: lib.hasPrefix "warm_reconcile" (baseNameOf word)) command
    );

  names = app: word: builtins.match "(.*[^[:alnum:]])?${app}([^-[:alnum:]].*)?" word != null;
  namesApp = app: lib.any (names app);
  namesAny = command: lib.any (app: namesApp app command) cfg.forbiddenApps;

  # A command that takes its app from elsewhere is about those that the rest of the unit mentions; `--all` and a
  # loop over `abra app ls` are about all of them.
  ownsByText =
    app: texts:
    let
      all = lib.concatMap commands texts;
      mentioned = lib.any (namesApp app) all;
      everyApp = lib.any (command: lib.hasPrefix "app ls" (lib.concatStringsSep " " (after "abra" command))) all;
      open = command: !namesAny command && lib.any (word: contains "$" word || contains "%" word) command;
    in
    lib.any (
      command:
      changes command
      && (
        namesApp app command
        || (!namesAny command && lib.elem "--all" command)
        || (open command && (mentioned || everyApp))
      )
    ) all;

  # By the names of the programs a unit starts; a word without a path is an argument.
  ownsByProgram =
    app: texts:
    lib.any (
      text: lib.any (word: contains "/" word && baseNameOf word != app && ownsByName app (baseNameOf word)) (words text)
    ) texts;

  # -- what a host has ------------------------------------------------------------------------------------------

  # Only looked at: what a text refers to need not be built for that, and may stand in no name.
  seen = value: builtins.unsafeDiscardStringContext (toString value);

  exec = service: lib.concatMap (key: map seen (lib.toList (service.serviceConfig.${key} or [ ]))) [
    "ExecStartPre"
    "ExecStart"
    "ExecStartPost"
    "ExecReload"
    "ExecStop"
    "ExecStopPost"
  ];
  scripts = service: map (key: seen (service.${key} or "")) [
    "script"
    "preStart"
    "postStart"
    "reload"
    "preStop"
    "postStop"
  ];
  settings = service: lib.mapAttrsToList (_: seen) (lib.filterAttrs (_: value: value != null) (service.environment or { }));

  fromServices =
    app: where: services:
    lib.concatLists (
      lib.mapAttrsToList (
        name: service:
        lib.optional (
          (service.enable or true)
          && (
            ownsByName app name
            || ownsByText app [ (lib.concatStringsSep "\n" (scripts service ++ exec service ++ settings service)) ]
            || ownsByProgram app (exec service)
          )
        ) { inherit name; what = "${where}.${name}"; }
      ) services
    );

  fromTimers =
    app:
    lib.concatLists (
      lib.mapAttrsToList (
        name: timer:
        lib.optional (
          (timer.enable or true) && (ownsByName app name || ownsByName app (timer.timerConfig.Unit or ""))
        ) { inherit name; what = "systemd.timers.${name}"; }
      ) (config.systemd.timers or { })
    );

  fromActivation =
    app:
    lib.concatLists (
      lib.mapAttrsToList (
        name: script:
        # NixOS adds one named `script`, which is all others.
        lib.optional (
          name != "script"
          && (ownsByName app name || ownsByText app [ (seen (if builtins.isAttrs script then script.text or "" else script)) ])
        ) { inherit name; what = "system.activationScripts.${name}"; }
      ) (config.system.activationScripts or { })
    );

  fromCron =
    app:
    map (line: { name = ""; what = "services.cron.systemCronJobs: ${line}"; }) (
      lib.filter (line: ownsByText app [ line ] || ownsByProgram app [ line ]) (
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
    lib.concatLists (
      lib.mapAttrsToList (
        name: container:
        lib.optional (
          ownsByName app name || lib.elem (imageName (seen (container.image or ""))) ([ app ] ++ updaters)
        ) { inherit name; what = "virtualisation.oci-containers.containers.${name}"; }
      ) (config.virtualisation.oci-containers.containers or { })
    );

  fromNative =
    app:
    lib.optional (options.services ? ${app} && (config.services.${app}.enable or false)) {
      name = app;
      what = "services.${app}.enable";
    };

  owners =
    app:
    map (owner: owner.what) (
      lib.filter (owner: !lib.elem (plain owner.name) (map plain cfg.allowedUnits)) (
        fromServices app "systemd.services" (config.systemd.services or { })
        ++ fromServices app "systemd.user.services" (config.systemd.user.services or { })
        ++ fromTimers app
        ++ fromActivation app
        ++ fromCron app
        ++ fromContainers app
        ++ fromNative app
      )
    );
in
{
  config = lib.mkIf cfg.enable {
    assertions = map (
      app:
      let
        found = owners app;
      in
      {
        assertion = found == [ ];
        message =
          "ccci.host: ${app} has another owner on this host, and is upgraded by maintainers with abra (ccci-upgrade"
          + " upgrade). Remove:\n"
          + lib.concatMapStringsSep "\n" (what: "  - ${what}") found
          + "\nWhat only looks like an owner is named in ccci.host.allowedUnits.";
      }
    ) cfg.forbiddenApps;
  };
}
