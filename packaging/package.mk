# The plugin's folder, its zip and its release notes; docs/packaging.md describes them. The Makefile includes this file.
VENV     ?= .venv
BIN      ?= $(VENV)/bin
PB       ?= ceems_grpc/pb
PROGRAM  := build/program/.built
FRONTEND := build/frontend/.built
PROGRAM_SCRIPTS := ceems.spec program.py check_libraries.py plugin_facts.py c_library.py launcher.py launcher.c urandom.c \
                   build_program.py plugin_licences.py system_licences.py
MODULES  := frontend/node_modules/.installed

.PHONY: dist package zip program program-arm64 reproducible wheel sbom release sources notes grafana

dist: $(PROGRAM) $(FRONTEND) ## build dist/, the folder that Grafana loads (needs Node)
	$(BIN)/python packaging/plugin_folder.py

package: dist ## build build/ceems-ceems-datasource-VERSION.zip for Grafana's installer
	$(BIN)/python packaging/plugin_zip.py

zip: ## pack dist/ as it is, for example after signing it
	$(BIN)/python packaging/plugin_zip.py

program: $(PROGRAM) ## build only the program for this platform, in build/program/

program-arm64: setup ## build also the program for linux_arm64, emulated (needs root, debootstrap, qemu-user-static; slow)
	$(BIN)/python packaging/arm64_program.py

reproducible: $(PROGRAM) $(FRONTEND) ## build the program and the frontend a second time and compare every byte
	$(BIN)/python packaging/reproducible.py

wheel: setup ## build the sdist and the wheel of ceems-grpc in build/python/
	$(BIN)/python packaging/python_package.py

sbom: $(PROGRAM) $(FRONTEND) ## write the SBOM (CycloneDX) of this platform into build/sbom/
	$(BIN)/python packaging/sbom.py

release: zip sbom wheel ## collect dist/ as a zip, SBOMs, Python packages and checksums in build/release/
	$(BIN)/python packaging/release_files.py

sources: setup ## write build/sources for Grafana's plugin validator (docs/packaging.md)
	$(BIN)/python packaging/validator_sources.py

notes: setup ## print this version's section of CHANGELOG.md (TAG=v1.2.3 also checks the tag)
	@$(BIN)/python packaging/release_notes.py $(TAG) $(REPOSITORY)

grafana: ## run the Grafana of this machine with the plugin in dist/ and a demo database
	@test -f dist/plugin.json || $(MAKE) dist
	@$(BIN)/python packaging/run_grafana.py $(GRAFANA_OPTIONS)

$(PROGRAM): $(VENV)/.installed $(PB)/.generated plugin.json $(addprefix packaging/,$(PROGRAM_SCRIPTS)) \
            $(shell find ceems_grpc -name '*.py' -not -path '*/pb/*')
	$(BIN)/python packaging/build_program.py
	touch $@

$(FRONTEND): $(MODULES) plugin.json LICENSE $(wildcard img/* dashboards/*.json) \
             $(wildcard frontend/*.js frontend/*.json frontend/build/*) $(shell find frontend/src -type f)
	rm -rf build/frontend
	npm --prefix frontend run build -- --output-path $(CURDIR)/build/frontend
	touch $@
