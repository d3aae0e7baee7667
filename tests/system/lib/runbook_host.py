"""A host on which the runbook library (docs/runbooks) has something to do: nginx, PostgreSQL, a shop with a worker, releases and a package, and a
person for each runbook who holds a grant for it and no other."""
from .fleet import Fleet
from .host import eventually
from .many import FILES
from .site import Site
from .sudo import sudo_conf

# Programs that have nothing to work on here, wherever the tests run.
STAND_INS = {"kubectl": "needs a cluster", "docker": "needs its daemon", "certbot": "needs an authority", "smartctl": "needs a disk",
             "dnf": "is of other distributions", "iptables-save": "needs the kernel's old tables"}
# Prints its arguments as many.SHOW does, and starts nothing for that: some of these commands may start no other.
SHOW = "#!/usr/bin/python3\nimport os, sys\nfor word in sys.argv[1:]:\n    print(os.fsencode(word).hex())\nprint('end')\n"
# Somebody's editor.
EDITOR = "#!/bin/sh\nfor f; do printf '%s\\n' \"${LINE:-# edited}\" >>\"$f\"; done\n"
POSTGRES = "/usr/lib/postgresql/15/bin"
SHARED = ("deploy", "shop", "kube-ops", "dbread", "dbreport", "dbops")
SUDOERS = "Defaults env_reset\nDefaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\nroot ALL=(ALL:ALL) ALL\n"

NGINX_SITE = "server {\n  listen 80 default_server;\n  location / { return 200 \"one\\n\"; }\n}\n"
UNITS = {
    "shop": "[Service]\nUser=shop\nExecStart=/usr/local/bin/shop-worker infinity\nRestart=always\nRestartSec=0\n[Unit]\nStartLimitIntervalSec=0\n",
    "pg-dump": f"[Service]\nType=oneshot\nUser=postgres\nUMask=0077\nExecStart={POSTGRES}/pg_dump -Fc -f /var/backups/postgresql/shop.dump shop\n",
    "postgres-test": f"[Service]\nType=notify\nUser=postgres\nRuntimeDirectory=postgresql\nExecStart={POSTGRES}/postgres -D /var/lib/postgresql/test"
                     " -c fsync=off -c listen_addresses= -c unix_socket_directories=/run/postgresql\nTimeoutStopSec=5\nKillSignal=SIGINT\n",
    "sleeper": f"[Service]\nUser=dbread\nExecStart={POSTGRES}/psql -X -d shop -c 'select pg_sleep(600)'\nRestart=always\nRestartSec=0\n[Unit]\nStartLimitIntervalSec=0\n",
}
SQL = r"""
create role dbread login; create role dbreport login; create role dbops login;
grant pg_read_all_data to dbread; grant pg_monitor, pg_signal_backend to dbops;
create database shop; create database payroll;
\c shop
create table customers as select n as id, 'name ' || n as name from generate_series(1, 100) n;
create schema report; create view report.stuck_payments as select count(*) as stuck from customers;
create view report.orders_per_hour as select 1;
grant usage on schema report to dbreport; grant select on report.stuck_payments, report.orders_per_hour to dbreport;
"""
PREPARE = rf"""set -e
ln -s {POSTGRES}/psql /usr/local/bin/psql
for role in dbread dbreport dbops; do usermod --shell /usr/sbin/nologin --home /nonexistent $role; done
install -d /usr/local/share/runbooks /srv/shop/releases/2026-11-20 /srv/shop/releases/2026-11-21
install -d -o postgres -m 0700 /var/backups/postgresql
echo "select pg_cancel_backend(:'pid'::int);" >/usr/local/share/runbooks/cancel-backend.sql
echo "select pg_terminate_backend(:'pid'::int);" >/usr/local/share/runbooks/end-backend.sql
ln -s releases/2026-11-21 /srv/shop/current; chown -hR deploy: /srv/shop
cp /bin/sleep /usr/local/bin/shop-worker
rm -f /etc/nginx/sites-enabled/*; ln -s ../sites-available/shop.conf /etc/nginx/sites-enabled/
install -d /var/log/nginx; echo old | gzip >/var/log/nginx/access.log.2.gz; ln -s ../auth.log /var/log/nginx/link
echo "upstream timed out" >/var/log/nginx/error.log; echo secret >/var/log/auth.log
install -d /etc/letsencrypt/live/shop.example.org
openssl req -x509 -newkey ed25519 -nodes -subj /CN=shop.example.org -days 30 -keyout /etc/letsencrypt/live/shop.example.org/privkey.pem \
  -out /etc/letsencrypt/live/shop.example.org/fullchain.pem 2>/dev/null
systemctl start shop nginx
"""
DATABASE = rf"""set -e; cd /
setpriv --reuid postgres --regid postgres --init-groups {POSTGRES}/initdb -D /var/lib/postgresql/test -A peer --no-sync --no-locale -E UTF8 >/dev/null
systemctl start postgres-test
setpriv --reuid postgres --regid postgres --init-groups {POSTGRES}/psql -X -q -v ON_ERROR_STOP=1 -f /opt/shop.sql
systemctl start sleeper
"""
# Two versions of a package, the second in a repository. Its scripts say as whom they run, its configuration file was changed by hand.
PACKAGE = r"""set -e
cd /root
for v in 1.0 1.1; do
  mkdir -p p$v/DEBIAN p$v/etc
  echo "value=$v" >p$v/etc/shop.conf; echo /etc/shop.conf >p$v/DEBIAN/conffiles
  printf 'Package: shop\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a shop\n' $v >p$v/DEBIAN/control
  printf '#!/bin/sh\necho %s by $(id -un) >>/root/scripts-ran\n' $v >p$v/DEBIAN/postinst; chmod 755 p$v/DEBIAN/postinst
  dpkg-deb --root-owner-group -Znone -b p$v shop_$v.deb >/dev/null
done
dpkg --no-triggers -i shop_1.0.deb >/dev/null; echo "value=by hand" >/etc/shop.conf
mkdir /srv/repository; cp shop_1.1.deb /srv/repository
{ cat p1.1/DEBIAN/control; echo "Filename: ./shop_1.1.deb"; echo "Size: $(stat -c %s shop_1.1.deb)"; echo "SHA256: $(sha256sum shop_1.1.deb | cut -d' ' -f1)"; } >/srv/repository/Packages
rm -rf /etc/apt/sources.list.d/*; echo "deb [trusted=yes] file:/srv/repository ./" >/etc/apt/sources.list
"""


class RunbookSite(Site):
    """books: {name: RunbookFile}. Each is asked for as its head says, by a person of its own name."""

    def __init__(self, stage, books):
        self.books, self.stood_in = books, {}
        fleet = Fleet(people=("ana", "ben", *books))
        fleet.groups = {"sre": list(books), "leads": ["ana", "ben"]}
        fleet.runbooks = {name: book.body for name, book in books.items()}
        fleet.rules = [fleet.rule(list(books), ["sre"], gates=[("leads", 1)])]
        files = {"/etc/sudoers": (0o440, SUDOERS), "/etc/sudo.conf": sudo_conf(stage), "/etc/nginx/sites-available/shop.conf": NGINX_SITE,
                 "/opt/shop.sql": SQL, "/usr/local/bin/edit": (0o755, EDITOR), **FILES, **{f"/etc/systemd/system/{u}.service": text for u, text in UNITS.items()}}
        for path in self._stand_in_paths():
            files[path] = (0o755, SHOW)
        super().__init__(stage, fleet, users=list(books), shared=SHARED, files=files, host_toml='standing_sudo = "deny"\n')
        self._own_fleet = True

    def _stand_in_paths(self):
        for book in self.books.values():
            for entry in book.table.get("sudo", []):
                run = entry.get("run")
                for path in (run[0] if isinstance(run[0], list) else run[:1]) if isinstance(run, list) else []:
                    name = path.rpartition("/")[2]
                    if name in STAND_INS:
                        self.stood_in[name] = STAND_INS[name]
                        yield path

    def __enter__(self):
        super().__enter__()
        try:
            self._make_busy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make_busy(self):
        self.host.await_journal(HALLPASS_EVENT="policy_accepted")
        self._stand_in_for_what_is_missing()
        self._grants()
        self.host.sh(PREPARE, check=True)
        self.host.sh(DATABASE, check=True)
        self.host.sh(PACKAGE, check=True)
        for name in self.books:
            self.await_admitted(self.account(name), self.fleet.key(name))

    def _stand_in_for_what_is_missing(self):
        for name, book in self.books.items():
            for entry in book.table.get("sudo", []):
                run = entry.get("run")
                if not isinstance(run, list):
                    continue
                paths = run[0] if isinstance(run[0], list) else run[:1]
                if not any(self.host.path(p).exists() for p in paths):
                    self.stood_in[paths[0].rpartition("/")[2]] = "is not installed"
                    self.host.write(paths[0], SHOW, 0o755)

    def _grants(self):
        for name, book in self.books.items():
            request = self.fleet.request(name, name, duration=900, parameters=book.parameters())
            self.put(request, self.fleet.approve(request, "ana"))

    def ask_postgres(self, sql, database="postgres") -> str:
        """As the superuser, from inside of the host."""
        return self.host.run(f"{POSTGRES}/psql", "-X", "-At", "-d", database, "-c", sql, user="postgres", cwd="/", check=True).out.strip()

    def sleeping_backend(self, other_than="") -> str:
        """Process id of the connection of somebody who waits in a query, which comes again when it is ended."""
        sql = "select pid from pg_stat_activity where usename = 'dbread' and query like '%sleep%' and state = 'active'"
        return eventually("a query that sleeps", lambda: (found := self.ask_postgres(sql)) != other_than and found)

    def account(self, name) -> str:
        account = self.books[name].table["account"]
        return name if account == "self" else account
