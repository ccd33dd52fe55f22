// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DMABufDevices

@Suite("What modules.dep, modules.builtin and the configuration say of a module")
struct ModuleIndexTests {
    static let dep = """
        kernel/drivers/gpu/drm/vgem/vgem.ko.xz: kernel/drivers/gpu/drm/drm_shmem_helper.ko.xz kernel/a/drm.ko.xz
        kernel/drivers/dma-buf/heaps/system-heap.ko:
        kernel/lib/notvgem.ko.zst: kernel/x/udmabuf.ko
        """
    static let builtIn = """
        kernel/drivers/virtio/virtio_ring.ko
        kernel/drivers/misc/built-in.ko
        """
    static let configuration = """
        CONFIG_UDMABUF=y
        CONFIG_DRM_VGEM=m
        # CONFIG_DMABUF_HEAPS is not set
        CONFIG_DMABUF_HEAPS_CMA=
        """

    @Test(
        "a module is listed under its own name, not as what another one needs",
        arguments: [
            ("vgem", true), ("system_heap", true), ("system-heap", true), ("notvgem", true), ("udmabuf", false),
            ("drm", false), ("heap", false), ("", false),
        ])
    func listing(module: String, isListed: Bool) {
        #expect(lists(Array(Self.dep.utf8), module) == isListed)
    }

    @Test("an empty or odd index lists nothing")
    func oddIndex() {
        for text in ["", "\n\n", ":", "/", "///:\n:::", "vge"] { #expect(!lists(Array(text.utf8), "vgem")) }
    }

    @Test(
        "options",
        arguments: [
            ("UDMABUF", "y"), ("DRM_VGEM", "m"), ("DMABUF_HEAPS", ""), ("DMABUF_HEAPS_CMA", ""), ("DRM", ""),
        ])
    func option(name: String, expected: String) {
        #expect(value(of: name, in: Array(Self.configuration.utf8)) == expected)
    }

    @Test("loaded or built in beats everything that files say")
    func active() {
        #expect(index(active: ["vgem"]).state(of: "vgem", option: "DRM_VGEM") == .active)
        #expect(index(dep: "", builtIn: Self.builtIn).state(of: "virtio_ring", option: "X") == .active)
        #expect(index(dep: "", builtIn: Self.builtIn).state(of: "built_in", option: "X") == .active)
        #expect(index(configuration: Self.configuration).state(of: "udmabuf", option: "UDMABUF") == .active)
    }

    @Test("a module that is installed can be loaded")
    func loadable() {
        #expect(index(dep: Self.dep).state(of: "vgem", option: "DRM_VGEM") == .loadable)
    }

    @Test("a module that was built and is not installed is in another package")
    func notInstalled() {
        let index = index(dep: "", configuration: Self.configuration)
        #expect(index.state(of: "vgem", option: "DRM_VGEM") == .notInstalled)
    }

    @Test("what neither the modules nor the configuration have, the kernel has not")
    func notBuilt() {
        #expect(index(dep: Self.dep).state(of: "udmabuf", option: "UDMABUF") == .notBuilt)
        #expect(
            index(configuration: Self.configuration).state(of: "system_heap", option: "DMABUF_HEAPS_SYSTEM")
                == .notBuilt)
    }

    @Test("in a container without the kernel's files nothing is claimed")
    func unknown() {
        #expect(index().state(of: "udmabuf", option: "UDMABUF") == .unknown)
        #expect(index(configuration: Self.configuration).state(of: "vgem", option: "DRM_VGEM") == .unknown)
    }

    @Test("each state has a remedy of its own")
    func remedies() {
        let part = MissingPart(id: "vgem", module: "vgem", option: "DRM_VGEM", package: "Debian's")
        let indices = [
            index(active: ["vgem"]), index(dep: Self.dep), index(dep: "", configuration: Self.configuration),
            index(dep: ""), index(),
        ]
        let checks = indices.map { part.check($0) }
        #expect(checks.allSatisfy { !$0.ok && $0.id == "vgem" })
        #expect(Set(checks.map(\.remedy)).count == indices.count)
        #expect(checks[1].remedy == "sudo modprobe vgem")
        #expect(checks[3].why == "the kernel 6.0-test has no CONFIG_DRM_VGEM")
    }
}

/// An index of texts; a file that is not given is not there.
func index(
    dep: String? = nil, builtIn: String? = nil, configuration: String? = nil, active: Set<String> = []
) -> ModuleIndex {
    ModuleIndex(
        release: "6.0-test", loadable: dep.map { Array($0.utf8) }, builtIn: builtIn.map { Array($0.utf8) },
        configuration: configuration.map { Array($0.utf8) }, isActive: { active.contains($0) })
}
