# What makes a name or a text an owner's. Pure: texts in, truths out. dual-ownership.nix says where they come from.
{
  lib,
  forbiddenApps,
  legacyReconcilers,
}:
let
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
    ""
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

  plain = name: lib.removeSuffix ".timer" (lib.removeSuffix ".service" name);
  parts = name: lib.filter builtins.isString (builtins.split "[-@_.]+" (plain name));

  byName =
    app: name:
    let
      all = parts name;
    in
    plain name == app
    || lib.elem app (legacyReconcilers.${plain name} or [ ])
    || lib.elem app all
      && lib.any (part: lib.elem part acting) all
      && lib.all (part: part == app || lib.elem part acting || lib.elem part neutral) all;

  # By the names of the programs a unit starts; a word without a path is an argument.
  byProgram =
    app: text:
    lib.any (word: contains "/" word && program word != app && byName app (program word)) (words text);
  program =
    word:
    let
      hashed = builtins.match "[a-z0-9]{32}-(.*)" (baseNameOf word);
    in
    if hashed == null then baseNameOf word else lib.head hashed;

  # -- commands -------------------------------------------------------------------------------------------------

  contains = part: text: builtins.replaceStrings [ part ] [ "" ] text != text;
  replaceAll =
    parts: by: text:
    builtins.replaceStrings parts (map (_: by) parts) text;
  first =
    most: list:
    if builtins.length list <= most then list else builtins.genList (builtins.elemAt list) most;

  # Short pieces only: the regular expressions of Nix end it with a stack overflow on long ones.
  words =
    line:
    map (builtins.substring 0 500) (
      first 300 (
        lib.filter (word: builtins.isString word && word != "") (builtins.split "[[:space:]]+" line)
      )
    );

  separators = [
    ";"
    "&"
    "|"
    "$("
    "`"
  ];
  punctuation = [
    "\""
    "'"
    "("
    ","
  ];
  said = [
    "echo"
    "printf"
    "logger"
  ];

  # Every command of a script, as its words: quotes away, comments away, and what is only said.
  commands =
    text:
    let
      joined = replaceAll [ "\\\n" ] " " text;
      bare = replaceAll punctuation " " (replaceAll separators "\n" joined);
      lines = map (line: uncommented (words line)) (lib.splitString "\n" bare);
    in
    lib.filter (command: command != [ ] && !lib.elem (lib.head command) said) lines;

  uncommented =
    all:
    if all == [ ] || lib.hasPrefix "#" (lib.head all) then
      [ ]
    else
      [ (lib.head all) ] ++ uncommented (lib.tail all);

  # -- commands that change an app --------------------------------------------------------------------------------

  verbs = {
    abra =
      lib.concatMap
        (group: map (verb: "${group} ${verb}") (lib.splitString " " "deploy d upgrade up rollback rl undeploy un new"))
        [
          "app"
          "a"
        ];
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

  after =
    program: all:
    if all == [ ] then
      [ ]
    else if baseNameOf (lib.head all) == program then
      lib.tail all
    else
      after program (lib.tail all);

  changes =
    command:
    let
      arguments = program: lib.filter (word: !lib.hasPrefix "-" word) (after program command);
      acts = program: verb: contains " ${verb} " " ${lib.concatStringsSep " " (arguments program)} ";
    in
    !lib.elem "--dry-run" command
    && (
      lib.any (program: lib.any (acts program) verbs.${program}) (lib.attrNames verbs)
      || lib.any (word: lib.hasPrefix "warm_reconcile" (baseNameOf word)) command
    );

  names = app: lib.any (word: builtins.match "(.*[^[:alnum:]])?${app}([^-[:alnum:]].*)?" word != null);
  namesAny = command: lib.any (app: names app command) forbiddenApps;
  listsApps = command: lib.hasPrefix "app ls" (lib.concatStringsSep " " (after "abra" command));

  # A command that takes its app from elsewhere is about those that the rest of the text mentions; `--all` and a
  # loop over `abra app ls` are about all of them.
  byText =
    app: text:
    let
      all = commands text;
      mentioned = lib.any (names app) all || lib.any listsApps all;
      open = lib.any (word: contains "$" word || contains "%" word);
      concerns = command: lib.elem "--all" command || (open command && mentioned);
    in
    lib.any (command: changes command && (names app command || (!namesAny command && concerns command))) all;
in
{
  inherit
    byName
    byProgram
    byText
    plain
    ;
}
