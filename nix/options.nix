# What can be set. docs/reference/host-module.md is generated from here.
{
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options.ccci.host = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Make this machine the host of a Co-op Cloud CI server. Everything below has an effect only then.";
    };

    package = mkOption {
      type = types.nullOr types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "ccci-upgrade, on the `PATH` of everybody.";
    };

    abraPackage = mkOption {
      type = types.nullOr types.package;
      default = pkgs.abra or null;
      defaultText = lib.literalExpression "pkgs.abra or null";
      description = "abra, on the `PATH` of everybody. A nixpkgs without it, and no overlay that has it, is refused.";
    };

    advertiseAddr = mkOption {
      type = types.str;
      default = "127.0.0.1";
      description = "The address a new Swarm advertises. An existing Swarm keeps its own.";
    };

    listenAddr = mkOption {
      type = types.str;
      default = "127.0.0.1:2377";
      description = "Where a new Swarm's manager listens. An existing Swarm keeps its own.";
    };

    network = {
      name = mkOption {
        type = types.str;
        default = "proxy";
        description = "The overlay network that recipes expect.";
      };
      attachable = mkOption {
        type = types.bool;
        default = true;
        description = "Let single containers join it. An existing network is never changed, only warned about.";
      };
      subnet = mkOption {
        type = types.nullOr types.str;
        default = "10.10.0.0/16";
        description = ''
          Its addresses; null leaves the choice to Docker, whose /24 a busy CI server uses up. An existing network
          is never changed, only warned about.
        '';
      };
    };

    openPorts = mkOption {
      type = types.listOf types.port;
      default = [
        80
        443
      ];
      description = ''
        TCP ports opened in the firewall. It does not close anything: what Docker publishes is reached past this
        firewall, by Docker's own rules.
      '';
    };

    secrets = mkOption {
      default = { };
      description = "Files that sops-nix decrypts on the host. No value is ever in the Nix store.";
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              sopsFile = mkOption {
                type = types.path;
                description = "The encrypted file.";
              };
              key = mkOption {
                type = types.nullOr types.str;
                default = null;
                description = "The key in it; null means the secret's own name.";
              };
              owner = mkOption {
                type = types.str;
                default = "root";
                description = "Who owns the decrypted file.";
              };
              mode = mkOption {
                type = types.strMatching "0[0-7][0-7]0";
                default = "0400";
                description = "Its mode; others never have access.";
              };
              path = mkOption {
                type = types.str;
                default = "/run/secrets/${name}";
                defaultText = lib.literalExpression ''"/run/secrets/‹name›"'';
                readOnly = true;
                description = "Where it lies on the host; for other options to name.";
              };
            };
          }
        )
      );
    };

    registryLogins = mkOption {
      default = { };
      example = lib.literalExpression ''
        { "docker.io" = { username = "ci"; passwordFile = config.ccci.host.secrets.hub_token.path; }; }'';
      description = ''
        Logins for root's Docker client, by registry, written to `~root/.docker/config.json` beside what is there.
        One that is removed here stays in that file until `docker logout`.
      '';
      type = types.attrsOf (
        types.submodule {
          options = {
            username = mkOption {
              type = types.str;
              description = "Who logs in.";
            };
            passwordFile = mkOption {
              type = types.strMatching "/.+";
              description = "A file on the host with the password or token, read when the unit starts.";
            };
          };
        }
      );
    };

    prune = {
      enable = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Remove images that nothing needs, by a timer. No volume and no container is ever removed, and no image
          that has a tag, that a container or a service of the Swarm names, or that ccci-upgrade keeps for a rollback.
        '';
      };
      startAt = mkOption {
        type = types.str;
        default = "*-*-* 04:30:00";
        description = "When, as systemd writes times.";
      };
      diskPercent = mkOption {
        type = types.ints.between 0 100;
        default = 80;
        description = "Nothing is removed while the disk with Docker's data is less full than this.";
      };
    };

    timeZone = mkOption {
      type = types.str;
      default = "UTC";
      description = ''
        The time zone, where the host's own `time.timeZone` says none. It is also written to `/etc/timezone`, which
        recipes mount.
      '';
    };

    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = lib.literalExpression ''{ server = "ci.example.org"; apps."keycloak.ci.example.org".budget = "15m"; }'';
      description = ''
        The configuration of ccci-upgrade, written to `/etc/ccci-upgrade/ccci-upgrade.toml`, which everybody can
        read. Files with secrets are named there by their paths.
      '';
    };

    forbiddenApps = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9_-]+");
      default = [
        "traefik"
        "keycloak"
        "drone"
      ];
      description = "Apps that people upgrade: nothing else on this host may deploy, upgrade or run them.";
    };

    allowedUnits = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = ''
        Units (also timers, containers and activation scripts) that look like another owner and are none, by their
        names.
      '';
    };

    legacyReconcilers = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = {
        deploy-proxy = [ "traefik" ];
        deploy-drone = [ "drone" ];
        warm-keycloak = [ "keycloak" ];
        nightly-sweep = [
          "keycloak"
          "traefik"
        ];
        cc-ci-reconcile-proxy = [ "traefik" ];
      };
      description = ''
        Units, or programs that units start, which are known to own apps, though nothing in their text says so.
      '';
    };
  };
}
