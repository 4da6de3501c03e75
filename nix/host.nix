# The host and nothing above it: Docker with a Swarm of one node, its network, secrets by path, the two programs.
# No app is deployed here, and no unit runs abra. Options: options.nix. Who else may not: dual-ownership.nix.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  cfg = config.ccci.host;
  docker = config.virtualisation.docker;
  toml = import ./toml.nix { inherit lib; };

  logins = lib.mapAttrsToList (registry: login: {
    # The Hub's name in Docker's own files.
    registry = if registry == "docker.io" then "https://index.docker.io/v1/" else registry;
    inherit (login) username passwordFile;
  }) cfg.registryLogins;
  isPassword = path: lib.any (login: login.passwordFile == path) logins;
  inStore = lib.hasPrefix builtins.storeDir;

  oneshot = minutes: {
    Type = "oneshot";
    TimeoutStartSec = "${toString minutes}min";
  };
  afterDocker = {
    after = [ "docker.service" ];
    requires = [ "docker.service" ];
  };
in
{
  imports = [
    ./options.nix
    ./dual-ownership.nix
  ];

  config = lib.mkMerge [
    (lib.mkIf cfg.enable {
      virtualisation.docker = {
        enable = true;
        enableOnBoot = true;
        # NixOS turns it on, and a Swarm refuses to begin with it.
        liveRestore = false;
      };

      networking.firewall.allowedTCPPorts = cfg.openPorts;
      time.timeZone = lib.mkDefault cfg.timeZone;
      # Recipes mount it into containers; NixOS itself has no such file.
      environment.etc."timezone".text = lib.mkDefault "${
        if config.time.timeZone == null then "UTC" else config.time.timeZone
      }\n";
      environment.etc."ccci-upgrade/ccci-upgrade.toml" = lib.mkIf (cfg.settings != { }) {
        text = toml.render cfg.settings;
      };
      environment.systemPackages = [
        pkgs.git
      ]
      ++ lib.filter (each: each != null) [
        cfg.package
        cfg.abraPackage
      ];

      systemd.targets.ccci-host = {
        description = "The host is ready for apps: Docker, Swarm, network, registry logins";
        wantedBy = [ "multi-user.target" ];
        requires = [ "ccci-swarm-init.service" ];
        wants = lib.optional (logins != [ ]) "ccci-registry-login.service";
        after = [ "ccci-swarm-init.service" ] ++ lib.optional (logins != [ ]) "ccci-registry-login.service";
      };

      systemd.services = {
        ccci-swarm-init = {
          description = "Swarm of one node with the network ${cfg.network.name}";
          wantedBy = [ "multi-user.target" ];
          after = [
            "docker.service"
            "network-online.target"
          ];
          requires = [ "docker.service" ];
          wants = [ "network-online.target" ];
          path = [ docker.package ];
          environment = {
            CCCI_ADVERTISE_ADDR = cfg.advertiseAddr;
            CCCI_LISTEN_ADDR = cfg.listenAddr;
            CCCI_NETWORK = cfg.network.name;
            CCCI_NETWORK_ATTACHABLE = if cfg.network.attachable then "true" else "false";
            CCCI_NETWORK_SUBNET = if cfg.network.subnet == null then "" else cfg.network.subnet;
          };
          serviceConfig = oneshot 3 // {
            RemainAfterExit = true;
          };
          script = builtins.readFile ./swarm-init.sh;
        };

        ccci-registry-login = lib.mkIf (logins != [ ]) {
          description = "Registry logins for root's Docker client";
          wantedBy = [ "multi-user.target" ];
          path = [ pkgs.jq ];
          environment = {
            CCCI_DOCKER_CONFIG = "/root/.docker";
            CCCI_REGISTRY_LOGINS = builtins.toJSON logins;
          };
          serviceConfig = oneshot 1 // {
            RemainAfterExit = true;
          };
          script = builtins.readFile ./registry-login.sh;
        };

        ccci-prune = lib.mkIf cfg.prune.enable (
          afterDocker
          // {
            description = "Remove images that nothing needs";
            startAt = cfg.prune.startAt;
            path = [ docker.package ];
            environment.CCCI_PRUNE_PERCENT = toString cfg.prune.diskPercent;
            serviceConfig = oneshot 30;
            script = builtins.readFile ./prune.sh;
          }
        );
      };

      assertions = [
        {
          assertion = cfg.package != null && cfg.abraPackage != null;
          message =
            "ccci.host: "
            + lib.concatStringsSep " and " (
              lib.optional (cfg.package == null) "package"
              ++ lib.optional (cfg.abraPackage == null) "abraPackage"
            )
            + " must be set: these apps are upgraded by people with abra and ccci-upgrade.";
        }
        {
          assertion =
            !docker.liveRestore
            && !(docker.daemon.settings.live-restore or false)
            && !lib.elem "--live-restore" (lib.splitString " " docker.extraOptions)
            && !lib.elem "--live-restore=true" (lib.splitString " " docker.extraOptions);
          message =
            "ccci.host: Docker's live-restore must be off (liveRestore, daemon.settings and extraOptions of"
            + " virtualisation.docker): a Swarm does not begin with it.";
        }
        {
          assertion =
            !docker.autoPrune.enable
            || !lib.any (
              flag:
              lib.elem flag [
                "-a"
                "--all"
                "--volumes"
              ]
            ) (lib.concatMap (lib.splitString " ") docker.autoPrune.flags);
          message =
            "ccci.host: virtualisation.docker.autoPrune with --all or --volumes removes images and volumes that a"
            + " rollback needs. Remove these flags, or use ccci.host.prune instead.";
        }
        {
          assertion = cfg.secrets == { } || options ? sops;
          message = "ccci.host.secrets needs sops-nix: import its NixOS module, sops-nix.nixosModules.sops.";
        }
        {
          assertion = !lib.any (login: inStore login.passwordFile) logins;
          message =
            "ccci.host.registryLogins: a passwordFile lies in the Nix store, which everybody can read. Name a file"
            + " that exists on the host only, such as config.ccci.host.secrets.<name>.path.";
        }
      ];
    })
    # sops-nix may not be there, and then neither is its option.
    (lib.optionalAttrs (options ? sops) {
      sops.secrets = lib.mkIf cfg.enable (
        lib.mapAttrs (name: secret: {
          inherit (secret) sopsFile owner mode;
          key = if secret.key == null then name else secret.key;
          restartUnits = lib.optional (isPassword secret.path) "ccci-registry-login.service";
        }) cfg.secrets
      );
    })
  ];
}
