# Every option of `ccci.host`, in the order of their names, for the reference page.
{ lib, root }:
let
  package = name: {
    type = "derivation";
    inherit name;
  };
  declared =
    (lib.evalModules {
      modules = [ (root + "/nix/options.nix") ];
      specialArgs.pkgs = { callPackage = _file: _arguments: package "ccci-upgrade"; };
    }).options.ccci.host;
  isOption = value: value._type or "" == "option";
  text = value: if value._type or "" == "literalExpression" then value.text else null;
  below = type: if type.getOptions or null == null then { } else type.getOptions;

  walk =
    path: set:
    lib.concatMap (
      name:
      let
        value = set.${name};
        here = path ++ [ name ];
        inner = below value.type;
        deeper = if inner == { } then [ ] else walk (here ++ [ "‹name›" ]) inner;
      in
      if !isOption value then
        walk here value
      else
        [
          {
            name = lib.concatStringsSep "." here;
            type = value.type.description;
            readOnly = value.readOnly or false;
            description = value.description or "";
            example = text (value.example or null);
            has = value ? default;
            shown = text (value.defaultText or null);
            default = if value ? defaultText || !(value ? default) then null else value.default;
          }
        ]
        ++ deeper
    ) (lib.filter (name: builtins.substring 0 1 name != "_") (lib.attrNames set));
in
walk [ "ccci" "host" ] declared
