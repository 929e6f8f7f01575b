//! What the boot core takes, and that it can neither panic nor call itself: `make size` as a test.
//!
//! Compilers differ: budgets are tested, not the numbers in docs/size.md.

use anyhow::{Result, ensure};
use sixfold_netns_tests::qemu::image::{self, Images};
use sixfold_netns_tests::{sandbox, workspace};
use sixfold_size_report::budget::{self, BUDGET, Budget};
use sixfold_size_report::report::{self, Budgeted, CORE, LISTENING, Measured};
use std::fs;
use std::process::Command;

/// Runs `body` with the measured boot core, where it can be built.
fn run<F: FnOnce(Measured) -> Result<()>>(test: &str, body: F) -> Result<()> {
    match image::build()? {
        Images::Built => body(Measured::read(&image::folder(), CORE)?),
        Images::Missing(what) => sandbox::skip_or_fail(test, &what),
    }
}

fn ensure_no(faults: &[String]) -> Result<()> {
    ensure!(faults.is_empty(), "{}; see `make size`", faults.join("\n"));
    Ok(())
}

#[test]
fn the_boot_core_keeps_within_its_flash_and_cannot_panic() -> Result<()> {
    run("the_boot_core_keeps_within_its_flash_and_cannot_panic", |core| {
        ensure_no(&core.faults(Budget { ram: u64::MAX, ..BUDGET }))
    })
}

#[test]
fn the_boot_core_keeps_within_its_ram() -> Result<()> {
    run("the_boot_core_keeps_within_its_ram", |core| {
        ensure!(
            core.program.state_size.is_some_and(|bytes| bytes > 0),
            "the program does not say its state's size"
        );
        ensure_no(&core.faults(Budget { flash: u64::MAX, ..BUDGET }))
    })
}

/// The feature `listen`, which a board may do without.
#[test]
fn the_boot_core_that_listens_keeps_within_its_own_budget() -> Result<()> {
    run("the_boot_core_that_listens_keeps_within_its_own_budget", |_| {
        ensure_no(&Measured::read(&image::folder(), LISTENING)?.faults(budget::LISTENING))
    })
}

#[test]
fn oscore_keeps_within_its_flash_and_cannot_panic() -> Result<()> {
    run("oscore_keeps_within_its_flash_and_cannot_panic", |core| {
        let budgeted = Budgeted::read(&image::folder())?;
        let more = budgeted.oscore.more_flash_than(&core);
        ensure!(more > 1024, "{more} bytes: the linker has thrown it away");
        ensure_no(&budgeted.oscore_faults())
    })
}

/// The feature `encrypted`, alone and in a group.
#[test]
fn encrypted_images_keep_within_their_flash_and_cannot_panic() -> Result<()> {
    run("encrypted_images_keep_within_their_flash_and_cannot_panic", |core| {
        let budgeted = Budgeted::read(&image::folder())?;
        let more = budgeted.encrypted.more_flash_than(&core);
        ensure!(more > 512, "{more} bytes: the linker has thrown it away");
        ensure_no(&budgeted.encrypted_faults())?;
        ensure_no(&budgeted.encrypted_listening.faults(budget::ENCRYPTED_LISTENING))
    })
}

#[test]
fn a_budget_that_is_exceeded_is_named() -> Result<()> {
    run("a_budget_that_is_exceeded_is_named", |core| {
        let flash = core.program.flash();
        let faults = core.faults(Budget { flash: flash - 7, ram: 1 });
        ensure!(faults.len() == 2, "{faults:?}");
        let named = format!("flash: {flash} bytes are 7 more than the budget of {}", flash - 7);
        ensure!(faults.first() == Some(&named), "{faults:?}");
        ensure!(faults.iter().any(|fault| fault.starts_with("RAM:")), "{faults:?}");
        Ok(())
    })
}

/// What `make size` fails for.
#[test]
fn whatever_has_a_budget_is_judged() -> Result<()> {
    run("whatever_has_a_budget_is_judged", |_| {
        let mut budgeted = Budgeted::read(&image::folder())?;
        ensure_no(&budgeted.faults(BUDGET))?;
        let Budgeted { listening, oscore, encrypted, encrypted_listening, c_library, .. } = &mut budgeted;
        let measured = [listening, oscore, encrypted, encrypted_listening];
        for program in measured.into_iter().map(|measured| &mut measured.program).chain([c_library]) {
            program
                .sections
                .iter_mut()
                .filter(|section| section.in_flash)
                .for_each(|section| section.size *= 9);
        }
        let faults = budgeted.faults(BUDGET);
        for what in [
            "the boot core that listens: flash",
            "OSCORE: flash",
            "encrypted images: flash",
            "the boot core that listens, with encrypted images: flash",
            "the C library: flash",
        ] {
            ensure!(faults.iter().any(|fault| fault.starts_with(what)), "{what} is not judged: {faults:?}");
        }
        ensure!(faults.len() == 5, "{faults:?}");
        Ok(())
    })
}

#[test]
fn an_index_out_of_bounds_does_not_link() -> Result<()> {
    run("an_index_out_of_bounds_does_not_link", |_| {
        let script = workspace::root().join("scripts/firmware");
        let provoked = Command::new(script).args(["--features", "provoke"]).output()?;
        ensure!(!provoked.status.success(), "a boot core that can panic was linked");
        let said = String::from_utf8(provoked.stdout)?;
        ensure!(
            said.contains("sixfold-boot-core can panic"),
            "{said}\n{}",
            String::from_utf8_lossy(&provoked.stderr)
        );
        Ok(())
    })
}

/// How deep the stack gets is not told: the flash is behind pointers of the caller's.
#[test]
fn the_c_library_for_a_bare_core_links_and_cannot_panic() -> Result<()> {
    run("the_c_library_for_a_bare_core_links_and_cannot_panic", |_| {
        let budgeted = Budgeted::read(&image::folder())?;
        for call in ["choose", "begin", "datagram", "timeout", "transmit", "deadline", "is_bootable"] {
            let name = format!("sixfold_boot_{call}");
            ensure!(
                budgeted.c_library.symbols.iter().any(|symbol| symbol.name == name),
                "{name} is not there"
            );
        }
        ensure_no(&budgeted.c_faults())
    })
}

#[test]
fn the_tables_are_whole() -> Result<()> {
    run("the_tables_are_whole", |_| {
        let tables = report::tables(&image::folder(), &Budgeted::read(&image::folder())?, BUDGET)?;
        for row in [
            "| `core_datagram` |",
            "| `core_group_datagram` |",
            "| C library, boot part |",
            "| TFTP client |",
            "| IP stack (smoltcp) |",
            "| together |",
        ] {
            ensure!(tables.contains(row), "no {row} in\n{tables}");
        }
        let page = fs::read_to_string(workspace::root().join("docs/size.md"))?;
        ensure!(
            report::put_into(&page, &tables)?.contains(&tables),
            "docs/size.md has no place for the tables"
        );
        Ok(())
    })
}

/// Firmware is a workspace of its own, which nothing else tests.
#[test]
fn the_tests_of_the_firmware_workspace_pass() -> Result<()> {
    run("the_tests_of_the_firmware_workspace_pass", |_| {
        let folder = workspace::root().join("device-client/firmware");
        let packages = ["test", "--locked", "--package", "sixfold-firmware", "--package", "sixfold-tftp"];
        let tested = workspace::cargo().current_dir(folder).args(packages).output()?;
        let said = String::from_utf8_lossy(&tested.stdout);
        let is_tested = tested.status.success() && said.contains(" passed");
        ensure!(is_tested, "{said}{}", String::from_utf8_lossy(&tested.stderr));
        Ok(())
    })
}
