# As much of nixpkgs' `lib` as nix/*.nix uses, written anew: no registry that tests may use has the real one.
# It refuses what it does not know. `CCCI_NIXPKGS_LIB` has the tests run with the real one.
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    split
    stringLength
    substring
    tail
    typeOf
    ;

  # -- plain functions --------------------------------------------------------------------------------------------

  unique = foldl' (seen: each: if elem each seen then seen else seen ++ [ each ]) [ ];
  imap = f: list: builtins.genList (at: f at (elemAt list at)) (length list);
  reverse = list: builtins.genList (at: elemAt list (length list - at - 1)) (length list);
  toList = value: if isList value then value else [ value ];
  optional = wanted: value: if wanted then [ value ] else [ ];
  optionalAttrs = wanted: values: if wanted then values else { };
  pairs = set: map (name: { inherit name; value = set.${name}; }) (attrNames set);
  filterAttrs = keep: set: listToAttrs (filter (pair: keep pair.name pair.value) (pairs set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  removeSuffix =
    suffix: text:
    let
      rest = stringLength text - stringLength suffix;
    in
    if rest >= 0 && substring rest (stringLength suffix) text == suffix then substring 0 rest text else text;
  special = [ "." "*" "+" "?" "(" ")" "[" "{" "|" "^" "$" "\\" ];
  escape = builtins.replaceStrings special (map (each: "\\${each}") special);
  splitString = separator: text: filter isString (split (escape separator) text);

  # -- properties of definitions -----------------------------------------------------------------------------------

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  usual = 100;
  kind = value: if isAttrs value then value._type or "" else "";

  # An attribute set of definitions, its properties pushed into the values: names never depend on a condition.
  push =
    definition:
    {
      "if" = map (mapAttrs (_: mkIf definition.condition)) (push definition.content);
      merge = concatMap push definition.contents;
      override = map (mapAttrs (_: mkOverride definition.priority)) (push definition.content);
      "" = [ definition ];
    }
    .${kind definition} or [ definition ];

  # One definition of an option: values, each with its priority.
  discharge =
    priority: definition:
    {
      "if" = if definition.condition then discharge priority definition.content else [ ];
      merge = concatMap (discharge priority) definition.contents;
      override = discharge definition.priority definition.content;
    }
    .${kind definition} or [ { inherit priority; value = definition; } ];

  effective =
    definitions:
    let
      every = concatMap (discharge usual) definitions;
      best = foldl' (least: each: if each.priority < least then each.priority else least) 9999 every;
    in
    map (each: each.value) (filter (each: each.priority == best) every);

  path = concatStringsSep ".";

  # A type's merge gets values that all pass its check.
  merged =
    loc: type: values:
    let
      wrong = filter (value: !type.check value) values;
    in
    if wrong != [ ] then
      throw "A definition for option `${path loc}' is not of type `${type.description}', but a ${typeOf (head wrong)}."
    else
      type.merge loc values;

  mergeAs = loc: type: definitions: merged loc type (effective definitions);

  # -- types -------------------------------------------------------------------------------------------------------

  one =
    loc: values:
    if length values == 1 || all (value: value == head values) values then
      head values
    else
      throw "The option `${path loc}' has conflicting definition values.";
  simple = description: check: { inherit description check; merge = one; };
  isDerivation = value: isAttrs value && value.type or "" == "derivation";
  composed = type: if match "[^ ]*" type.description == null then "(${type.description})" else type.description;

  types = rec {
    bool = simple "boolean" isBool;
    str = simple "string" isString;
    path = simple "absolute path" (value: isPath value || isString value && hasPrefix "/" value || isDerivation value);
    package = simple "package" isDerivation;
    port = ints.between 0 65535 // { description = "TCP port"; };
    ints.between =
      low: high:
      simple "integer between ${toString low} and ${toString high}" (
        value: isInt value && low <= value && value <= high
      );
    strMatching = pattern: simple "string matching `${pattern}`" (value: isString value && match pattern value != null);
    separatedString = separator: { description = "string"; check = isString; merge = _: concatStringsSep separator; };
    lines = separatedString "\n";
    anything = {
      description = "anything";
      check = _: true;
      merge =
        loc: values:
        (if all isAttrs values && !any isDerivation values then (attrsOf anything).merge else one) loc values;
    };
    nullOr = type: {
      description = "null or ${composed type}";
      check = value: value == null || type.check value;
      merge =
        loc: values:
        if all (value: value == null) values then
          null
        else if elem null values then
          throw "The option `${where loc}' is defined both null and not null."
        else
          type.merge loc values;
      getOptions = type.getOptions or null;
    };
    listOf = type: {
      description = "list of ${composed type}";
      check = isList;
      merge =
        loc: values:
        let
          element =
            at: each:
            let
              kept = effective [ each ];
            in
            optional (kept != [ ]) (merged (loc ++ [ (toString at) ]) type kept);
        in
        concatMap (value: concatLists (imap element value)) values;
      getOptions = type.getOptions or null;
    };
    attrsOf = type: {
      description = "attribute set of ${composed type}";
      check = isAttrs;
      merge =
        loc: values:
        let
          sets = concatMap push values;
          names = unique (concatMap attrNames sets);
          given = name: effective (concatMap (set: optional (set ? ${name}) set.${name}) sets);
        in
        listToAttrs (
          map (name: {
            inherit name;
            value = merged (loc ++ [ name ]) type (given name);
          }) (filter (name: given name != [ ]) names)
        );
      getOptions = type.getOptions or null;
    };
    submodule = module: {
      description = "submodule";
      check = value: isAttrs value || isFunction value || isPath value;
      merge =
        loc: values:
        (evalModules {
          modules = [ module ] ++ values;
          specialArgs.name = elemAt loc (length loc - 1);
          prefix = loc;
        }).config;
      getOptions = (evalModules { modules = [ module ]; specialArgs.name = "‹name›"; }).options;
    };
  };
  where = path;

  # -- modules -----------------------------------------------------------------------------------------------------

  mkOption = option: { _type = "option"; } // option;
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  isOption = value: isAttrs value && value._type or "" == "option";

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      arguments = specialArgs // { inherit config options lib; };
      load =
        module:
        let
          value = if isPath module || isString module then import module else module;
          wanted = builtins.functionArgs value;
          applied = if isFunction value then value (builtins.intersectAttrs wanted arguments) else value;
          long = applied ? config || applied ? options;
          unknown = filter (name: !elem name [ "config" "options" "imports" "_file" ]) (attrNames applied);
        in
        if long && unknown != [ ] then
          throw "a module has `config' or `options' beside: ${concatStringsSep ", " unknown}"
        else
          {
            imports = applied.imports or [ ];
            options = applied.options or { };
            config = if long then applied.config or { } else builtins.removeAttrs applied [ "imports" "_file" ];
          };
      # The real one goes through imports level by level, and then takes all from the last to the first.
      levels = loaded: if loaded == [ ] then [ ] else loaded ++ levels (concatMap (each: map load each.imports) loaded);
      every = reverse (levels (map load modules));
      declare =
        loc: a: b:
        a
        // mapAttrs (
          name: value:
          if !(a ? ${name}) then
            value
          else if isOption value || isOption a.${name} then
            throw "The option `${path (loc ++ [ name ])}' is already declared."
          else
            declare (loc ++ [ name ]) a.${name} value
        ) b;
      options = foldl' (declare prefix) { } (map (module: module.options) every);

      below = name: sets: concatMap (set: optional (set ? ${name}) set.${name}) sets;

      unknown =
        loc: declared: sets:
        concatMap (
          name:
          if !(declared ? ${name}) then
            [ (path (loc ++ [ name ])) ]
          else if isOption declared.${name} then
            [ ]
          else
            unknown (loc ++ [ name ]) declared.${name} (concatMap push (below name sets))
        ) (unique (concatMap attrNames sets));

      tree =
        loc: declared: sets:
        mapAttrs (
          name: inner:
          let
            here = loc ++ [ name ];
            given = below name sets;
          in
          if isOption inner then leaf here inner given else tree here inner (concatMap push given)
        ) declared;

      leaf =
        loc: option: definitions:
        let
          values = effective definitions;
          fallback = option ? default;
          whole = if fallback then definitions ++ [ (mkOverride 1500 option.default) ] else definitions;
        in
        if option.readOnly or false && values != [ ] then
          throw "The option `${path loc}' is read-only, but it is set."
        else if values == [ ] && !fallback then
          throw "The option `${path loc}' was accessed but has no value defined."
        else
          (option.apply or (value: value)) (mergeAs loc option.type whole);

      given = concatMap (module: push module.config) every;
      wrong = unknown prefix options given;
      config = if wrong == [ ] then tree prefix options given else throw "The option `${head wrong}' does not exist.";
    in
    {
      inherit config options;
    };

  lib = {
    inherit
      all any attrNames concatLists concatMap concatStringsSep elem evalModules filter filterAttrs hasPrefix head
      literalExpression mapAttrs mapAttrsToList mkDefault mkForce mkIf mkMerge mkOption optional optionalAttrs
      removeSuffix splitString tail toList types
      ;
    concatStrings = concatStringsSep "";
    concatMapStringsSep = separator: f: list: concatStringsSep separator (map f list);
  };
in
lib
