// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Every target is built with these: a memory-unsafe use must be spelled `unsafe`, and a warning is an error.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .enableExperimentalFeature("Lifetimes"),
]

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

/// The layers. A target sees only what it names here: the two pure leaves never see a file descriptor, the two
/// kernel leaves never see a rule.
let package = Package(
    name: "dmabuf-share",
    products: [
        .library(name: "DMABufModel", targets: ["DMABufModel"]),
        .library(name: "DMABufSystem", targets: ["DMABufSystem"]),
        .library(name: "DMABuf", targets: ["DMABuf"]),
        .library(name: "DMABufConnection", targets: ["DMABufConnection"]),
        .library(name: "DMABufClient", targets: ["DMABufClient"]),
        .library(name: "DMABufServer", targets: ["DMABufServer"]),
        .library(name: "DMABufDevices", targets: ["DMABufDevices"]),
        .library(name: "DMABufWire", targets: ["DMABufWire"]),
        .executable(name: "dmabuf-share", targets: ["dmabuf-share"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
    ],
    targets: [
        // Pure.
        .target(name: "DMABufModel", swiftSettings: strict),
        .target(name: "DMABufWire", dependencies: ["DMABufModel"], swiftSettings: strict),
        .target(name: "DMABufPolicy", dependencies: ["DMABufModel"], swiftSettings: strict),
        .target(name: "DMABufScenario", dependencies: ["DMABufModel"], swiftSettings: strict),
        .target(
            name: "DMABufSimulator", dependencies: ["DMABufModel", "DMABufScenario"], swiftSettings: strict),

        // Kernel.
        .target(name: "CDMABuf"),
        .target(name: "CVulkan"),
        .systemLibrary(name: "CDRM", pkgConfig: "libdrm", providers: [.apt(["libdrm-dev"])]),
        .systemLibrary(name: "CUdev", pkgConfig: "libudev", providers: [.apt(["libudev-dev"])]),
        .target(
            name: "DMABufSystem", dependencies: ["CDMABuf", "CDRM", "CUdev", "CVulkan", system], swiftSettings: strict),

        // Where they meet.
        .target(
            name: "DMABuf", dependencies: ["DMABufModel", "DMABufSystem", system], swiftSettings: strict),
        .target(
            name: "DMABufDevices", dependencies: ["DMABufModel", "DMABufSystem", system], swiftSettings: strict),
        .target(
            name: "DMABufConnection", dependencies: ["DMABufWire", "DMABufSystem", system],
            swiftSettings: strict),
        .target(
            name: "DMABufClient",
            dependencies: ["DMABufConnection", "DMABuf", "DMABufModel", "DMABufWire", "DMABufSystem", system],
            swiftSettings: strict),
        .target(
            name: "DMABufServer",
            dependencies: [
                "DMABufConnection", "DMABuf", "DMABufModel", "DMABufPolicy", "DMABufWire", "DMABufSystem", logging,
                system,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "dmabuf-share",
            dependencies: [
                "DMABufServer", "DMABufClient", "DMABufConnection", "DMABufDevices", "DMABuf", "DMABufModel",
                "DMABufPolicy", "DMABufWire",
                "DMABufSystem", arguments, logging, system,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "dmabuf-simulate", dependencies: ["DMABufSimulator", "DMABufSystem", arguments, system],
            swiftSettings: strict),
        .executableTarget(
            name: "dmabuf-bench", dependencies: ["DMABuf", "DMABufClient", "DMABufModel", "DMABufSystem"],
            swiftSettings: strict),

        // Tests, one target per module of the same name.
        .target(
            name: "TestSupport", dependencies: ["DMABuf", "DMABufModel", "DMABufSystem", system],
            path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(
            name: "DMABufModelTests", dependencies: ["DMABufModel", "DMABufScenario", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "DMABufSimulatorTests", dependencies: ["DMABufSimulator", "DMABufScenario", "DMABufModel"],
            swiftSettings: strict),
        .testTarget(
            name: "DMABufWireTests", dependencies: ["DMABufWire", "DMABufModel", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "DMABufPolicyTests", dependencies: ["DMABufPolicy", "DMABufModel", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "DMABufSystemTests", dependencies: ["DMABufSystem", "TestSupport", system], swiftSettings: strict),
        .testTarget(
            name: "DMABufTests",
            dependencies: ["DMABuf", "DMABufModel", "DMABufSystem", "TestSupport", system],
            swiftSettings: strict),
        .testTarget(
            name: "DMABufDevicesTests",
            dependencies: ["DMABufDevices", "DMABufModel", "DMABufSystem", "TestSupport", system],
            swiftSettings: strict),
        .testTarget(
            name: "DMABufClientTests",
            dependencies: [
                "DMABufClient", "DMABufConnection", "DMABuf", "DMABufModel", "DMABufWire", "DMABufSystem",
                "TestSupport", system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RegistryTests",
            dependencies: [
                "DMABufServer", "DMABufClient", "DMABufConnection", "DMABuf", "DMABufModel", "DMABufWire",
                "DMABufSystem", "TestSupport", system, logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests", dependencies: ["DMABufSystem", "TestSupport", system], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
