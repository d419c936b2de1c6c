# The plugin's folder, its zip and its release notes; docs/packaging.md describes them. The Makefile includes this file.
VENV     ?= .venv
BIN      ?= $(VENV)/bin
PB       ?= ceems_grpc/pb
PROGRAM  := build/program/.built
FRONTEND := build/frontend/.built
MODULES  := frontend/node_modules/.installed

.PHONY: dist package zip program notes grafana

dist: $(PROGRAM) $(FRONTEND) ## build dist/, the folder that Grafana loads (needs Node)
	$(BIN)/python packaging/plugin_folder.py

package: dist ## build build/ceems-ceems-datasource-VERSION.zip for Grafana's installer
	$(BIN)/python packaging/plugin_zip.py

zip: ## pack dist/ as it is, for example after signing it
	$(BIN)/python packaging/plugin_zip.py

program: $(PROGRAM) ## build only the program for this platform, in build/program/

notes: setup ## print this version's section of CHANGELOG.md (TAG=v1.2.3 also checks the tag)
	@$(BIN)/python packaging/release_notes.py $(TAG)

grafana: ## run the Grafana of this machine with the plugin in dist/ and a demo database
	@test -f dist/plugin.json || $(MAKE) dist
	@$(BIN)/python packaging/run_grafana.py $(GRAFANA_OPTIONS)

$(PROGRAM): $(VENV)/.installed $(PB)/.generated packaging/ceems.spec packaging/program.py packaging/check_libraries.py packaging/plugin_facts.py packaging/c_library.py packaging/launcher.py packaging/launcher.c packaging/urandom.c plugin.json \
            $(shell find ceems_grpc -name '*.py' -not -path '*/pb/*')
	$(BIN)/python -m PyInstaller --noconfirm --log-level ERROR --distpath build/program --workpath build/pyinstaller packaging/ceems.spec
	$(BIN)/python packaging/launcher.py
	touch $@

$(FRONTEND): $(MODULES) plugin.json README.md CHANGELOG.md LICENSE $(wildcard img/* dashboards/*.json) \
             $(wildcard frontend/*.js frontend/*.json frontend/build/*) $(shell find frontend/src -type f)
	rm -rf build/frontend
	npm --prefix frontend run build -- --output-path $(CURDIR)/build/frontend
	touch $@
