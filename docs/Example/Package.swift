// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
    name: "Example",
    dependencies: [.package(name: "dmabuf-share", path: "../..")],
    targets: [
        .executableTarget(
            name: "Example",
            dependencies: [
                .product(name: "DMABuf", package: "dmabuf-share"),
                .product(name: "DMABufClient", package: "dmabuf-share"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
