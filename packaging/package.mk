# The plugin's folder, its zip and its release notes; docs/packaging.md describes them. The Makefile includes this file.
VENV     ?= .venv
BIN      ?= $(VENV)/bin
PB       ?= ceems_grpc/pb
PROGRAM  := build/program/.built
FRONTEND := build/frontend/.built
PROGRAM_SCRIPTS := packaging/plugin_facts.py \
    $(filter-out %/arm64_program.py,$(foreach end,py c spec,$(wildcard packaging/program/*.$(end))))
SCRIPT   := PYTHONPATH=$(CURDIR)/packaging $(BIN)/python -m
MODULES  := frontend/node_modules/.installed

.PHONY: dist package zip program program-arm64 reproducible wheel sbom release sources notes grafana

dist: $(PROGRAM) $(FRONTEND) ## build dist/, the folder that Grafana loads (needs Node)
	$(SCRIPT) plugin.plugin_folder

package: dist ## build build/ceems-ceems-datasource-VERSION.zip for Grafana's installer
	$(SCRIPT) plugin.plugin_zip

zip: ## pack dist/ as it is, for example after signing it
	$(SCRIPT) plugin.plugin_zip

program: $(PROGRAM) ## build only the program for this platform, in build/program/

program-arm64: setup ## build also the program for linux_arm64, emulated (needs root, debootstrap, qemu-user-static; slow)
	$(SCRIPT) program.arm64_program

reproducible: $(PROGRAM) $(FRONTEND) ## build the program and the frontend a second time and compare every byte
	$(SCRIPT) release.reproducible

wheel: setup ## build the sdist and the wheel of ceems-grpc in build/python/
	$(SCRIPT) release.python_package

sbom: $(PROGRAM) $(FRONTEND) ## write the SBOM (CycloneDX) of this platform into build/sbom/
	$(SCRIPT) release.sbom

release: zip sbom wheel ## collect dist/ as a zip, SBOMs, Python packages and checksums in build/release/
	$(SCRIPT) release.release_files

sources: setup ## write build/sources for Grafana's plugin validator (docs/packaging.md)
	$(SCRIPT) plugin.validator_sources

notes: setup ## print this version's section of CHANGELOG.md (TAG=v1.2.3 also checks the tag)
	@$(SCRIPT) release.release_notes $(TAG) $(REPOSITORY)

grafana: ## run the Grafana of this machine with the plugin in dist/ and a demo database
	@test -f dist/plugin.json || $(MAKE) dist
	@$(SCRIPT) grafana.run_grafana $(GRAFANA_OPTIONS)

$(PROGRAM): $(VENV)/.installed $(PB)/.generated plugin.json $(PROGRAM_SCRIPTS) \
            $(shell find ceems_grpc -name '*.py' -not -path '*/pb/*')
	$(SCRIPT) program.build_program
	touch $@

$(FRONTEND): $(MODULES) plugin.json LICENSE $(wildcard img/* dashboards/*.json) \
             $(wildcard frontend/*.js frontend/*.json frontend/build/*) $(shell find frontend/src -type f)
	rm -rf build/frontend
	npm --prefix frontend run build -- --output-path $(CURDIR)/build/frontend
	touch $@
