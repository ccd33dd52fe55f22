// SPDX-License-Identifier: Apache-2.0
//
// As much of Vulkan's binary interface as sharing memory takes: the library is looked for at run time, and its headers
// are not needed to build. Types and functions have the names that the specification gives them; enumerations are the
// integers that they are passed as; a structure that is only read past is a run of bytes of its size. layouts.c holds
// every size.

#ifndef CVULKAN_H
#define CVULKAN_H

#include <stddef.h>
#include <stdint.h>

// Only functions are known to be there; what a pointer of a structure points to is for the call to say.
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-completeness"
#else
#define _Nonnull
#endif

// ---- Handles: those with a dispatch table are pointers, the others numbers ------------------------------------------

typedef struct VkInstance_T *VkInstance;
typedef struct VkPhysicalDevice_T *VkPhysicalDevice;
typedef struct VkDevice_T *VkDevice;
typedef struct VkQueue_T *VkQueue;
typedef struct VkCommandBuffer_T *VkCommandBuffer;
typedef uint64_t VkDeviceMemory;
typedef uint64_t VkBuffer;
typedef uint64_t VkImage;
typedef uint64_t VkSemaphore;
typedef uint64_t VkFence;
typedef uint64_t VkCommandPool;

typedef int32_t VkResult;
typedef int32_t VkStructureType;
typedef int32_t VkFormat;
typedef uint32_t VkFlags;

// Begins every structure that a call can be extended by.
typedef struct {
    VkStructureType type;
    void *next;
} VkHeader;

// ---- The instance, and what devices there are -----------------------------------------------------------------------

typedef struct {
    VkStructureType type;
    const void *next;
    const char *application;
    uint32_t applicationVersion;
    const char *engine;
    uint32_t engineVersion;
    uint32_t apiVersion;
} VkApplicationInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    const VkApplicationInfo *application;
    uint32_t layerCount;
    const char *const *layers;
    uint32_t extensionCount;
    const char *const *extensions;
} VkInstanceCreateInfo;

typedef struct {
    uint32_t apiVersion, driverVersion, vendor, device;
    int32_t kind;
    char name[256];
    uint8_t pipelineCache[16];
    uint64_t limitsAndSparse[66];
} VkPhysicalDeviceProperties;

typedef struct {
    VkStructureType type;
    void *next;
    VkPhysicalDeviceProperties properties;
} VkPhysicalDeviceProperties2;

typedef struct {
    VkStructureType type;
    void *next;
    int32_t driver;
    char name[256];
    char info[256];
    uint8_t conformance[4];
} VkPhysicalDeviceDriverProperties;

// VK_EXT_physical_device_drm
typedef struct {
    VkStructureType type;
    void *next;
    uint32_t hasPrimary, hasRender;
    int64_t primaryMajor, primaryMinor, renderMajor, renderMinor;
} VkPhysicalDeviceDrmPropertiesEXT;

typedef struct {
    char name[256];
    uint32_t version;
} VkExtensionProperties;

typedef struct {
    VkFlags flags;
    uint32_t count;
    uint32_t timestampBits;
    uint32_t transferGranularity[3];
} VkQueueFamilyProperties;

typedef struct {
    VkFlags flags;
    uint32_t heap;
} VkMemoryType;

typedef struct {
    uint64_t byteCount;
    VkFlags flags;
} VkMemoryHeap;

typedef struct {
    uint32_t typeCount;
    VkMemoryType types[32];
    uint32_t heapCount;
    VkMemoryHeap heaps[16];
} VkPhysicalDeviceMemoryProperties;

// ---- What can be shared ---------------------------------------------------------------------------------------------

typedef struct {
    VkFlags features;
    VkFlags exportFrom;
    VkFlags compatible;
} VkExternalMemoryProperties;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags, usage, handleType;
} VkPhysicalDeviceExternalBufferInfo;

typedef struct {
    VkStructureType type;
    void *next;
    VkExternalMemoryProperties memory;
} VkExternalBufferProperties;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleType;
} VkPhysicalDeviceExternalSemaphoreInfo;

typedef struct {
    VkStructureType type;
    void *next;
    VkFlags exportFrom, compatible, features;
} VkExternalSemaphoreProperties;

typedef struct {
    VkFlags linear, optimal, buffer;
} VkFormatProperties;

typedef struct {
    VkStructureType type;
    void *next;
    VkFormatProperties properties;
} VkFormatProperties2;

// VK_EXT_image_drm_format_modifier
typedef struct {
    uint64_t modifier;
    uint32_t planeCount;
    VkFlags features;
} VkDrmFormatModifierPropertiesEXT;

typedef struct {
    VkStructureType type;
    void *next;
    uint32_t count;
    VkDrmFormatModifierPropertiesEXT *modifiers;
} VkDrmFormatModifierPropertiesListEXT;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFormat format;
    int32_t kind, tiling;
    VkFlags usage, flags;
} VkPhysicalDeviceImageFormatInfo2;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleType;
} VkPhysicalDeviceExternalImageFormatInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    uint64_t modifier;
    int32_t sharing;
    uint32_t familyCount;
    const uint32_t *families;
} VkPhysicalDeviceImageDrmFormatModifierInfoEXT;

typedef struct {
    uint32_t width, height, depth;
} VkExtent3D;

typedef struct {
    VkExtent3D extentLimit;
    uint32_t mipLimit, layerLimit;
    VkFlags sampleCounts;
    uint64_t sizeLimit;
} VkImageFormatProperties;

typedef struct {
    VkStructureType type;
    void *next;
    VkImageFormatProperties properties;
} VkImageFormatProperties2;

typedef struct {
    VkStructureType type;
    void *next;
    VkExternalMemoryProperties memory;
} VkExternalImageFormatProperties;

// ---- The device -----------------------------------------------------------------------------------------------------

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    uint32_t family, count;
    const float *priorities;
} VkDeviceQueueCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    uint32_t queueCount;
    const VkDeviceQueueCreateInfo *queues;
    uint32_t layerCount;
    const char *const *layers;
    uint32_t extensionCount;
    const char *const *extensions;
    const void *features;
} VkDeviceCreateInfo;

// ---- Memory, buffers, images ----------------------------------------------------------------------------------------

typedef struct {
    VkStructureType type;
    const void *next;
    uint64_t byteCount;
    uint32_t memoryType;
} VkMemoryAllocateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleTypes;
} VkExportMemoryAllocateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleType;
    int descriptor;
} VkImportMemoryFdInfoKHR;

typedef struct {
    VkStructureType type;
    const void *next;
    VkImage image;
    VkBuffer buffer;
} VkMemoryDedicatedAllocateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkDeviceMemory memory;
    VkFlags handleType;
} VkMemoryGetFdInfoKHR;

typedef struct {
    VkStructureType type;
    void *next;
    uint32_t memoryTypes;
} VkMemoryFdPropertiesKHR;

typedef struct {
    uint64_t byteCount, alignment;
    uint32_t memoryTypes;
} VkMemoryRequirements;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleTypes;
} VkExternalMemoryBufferCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    uint64_t byteCount;
    VkFlags usage;
    int32_t sharing;
    uint32_t familyCount;
    const uint32_t *families;
} VkBufferCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleTypes;
} VkExternalMemoryImageCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    int32_t kind;
    VkFormat format;
    VkExtent3D extent;
    uint32_t mipLevels, layers, samples;
    int32_t tiling;
    VkFlags usage;
    int32_t sharing;
    uint32_t familyCount;
    const uint32_t *families;
    int32_t layout;
} VkImageCreateInfo;

typedef struct {
    uint64_t offset, byteCount, stride, layerStride, depthStride;
} VkSubresourceLayout;

typedef struct {
    VkFlags aspect;
    uint32_t mipLevel, layer;
} VkImageSubresource;

typedef struct {
    VkStructureType type;
    const void *next;
    uint32_t count;
    const uint64_t *modifiers;
} VkImageDrmFormatModifierListCreateInfoEXT;

typedef struct {
    VkStructureType type;
    const void *next;
    uint64_t modifier;
    uint32_t planeCount;
    const VkSubresourceLayout *planes;
} VkImageDrmFormatModifierExplicitCreateInfoEXT;

typedef struct {
    VkStructureType type;
    void *next;
    uint64_t modifier;
} VkImageDrmFormatModifierPropertiesEXT;

// ---- Commands -------------------------------------------------------------------------------------------------------

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    uint32_t family;
} VkCommandPoolCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkCommandPool pool;
    int32_t level;
    uint32_t count;
} VkCommandBufferAllocateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
    const void *inheritance;
} VkCommandBufferBeginInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags sourceAccess, destinationAccess;
    uint32_t sourceFamily, destinationFamily;
    VkBuffer buffer;
    uint64_t offset, byteCount;
} VkBufferMemoryBarrier;

typedef struct {
    VkFlags aspects;
    uint32_t mipLevel, mipCount, layer, layerCount;
} VkImageSubresourceRange;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags sourceAccess, destinationAccess;
    int32_t oldLayout, newLayout;
    uint32_t sourceFamily, destinationFamily;
    VkImage image;
    VkImageSubresourceRange range;
} VkImageMemoryBarrier;

typedef struct {
    uint64_t source, destination, byteCount;
} VkBufferCopy;

typedef struct {
    VkFlags aspects;
    uint32_t mipLevel, layer, layerCount;
} VkImageSubresourceLayers;

typedef struct {
    int32_t x, y, z;
} VkOffset3D;

typedef struct {
    VkImageSubresourceLayers source;
    VkOffset3D sourceOffset;
    VkImageSubresourceLayers destination;
    VkOffset3D destinationOffset;
    VkExtent3D extent;
} VkImageCopy;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags handleTypes;
} VkExportSemaphoreCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkFlags flags;
} VkSemaphoreCreateInfo;

typedef VkSemaphoreCreateInfo VkFenceCreateInfo;

typedef struct {
    VkStructureType type;
    const void *next;
    VkSemaphore semaphore;
    VkFlags flags, handleType;
    int descriptor;
} VkImportSemaphoreFdInfoKHR;

typedef struct {
    VkStructureType type;
    const void *next;
    VkSemaphore semaphore;
    VkFlags handleType;
} VkSemaphoreGetFdInfoKHR;

typedef struct {
    VkStructureType type;
    const void *next;
    uint32_t waitCount;
    const VkSemaphore *waits;
    const VkFlags *waitStages;
    uint32_t commandCount;
    const VkCommandBuffer *commands;
    uint32_t signalCount;
    const VkSemaphore *signals;
} VkSubmitInfo;

// ---- Functions. The allocator of each call is never used. -----------------------------------------------------------

typedef void (*VkAnyFunction)(void);
typedef VkAnyFunction (*_Nonnull PFN_vkGetInstanceProcAddr)(VkInstance, const char *);
typedef VkAnyFunction (*_Nonnull PFN_vkGetDeviceProcAddr)(VkDevice, const char *);
typedef VkResult (*_Nonnull PFN_vkCreateInstance)(const VkInstanceCreateInfo *, const void *, VkInstance *);
typedef void (*_Nonnull PFN_vkDestroyInstance)(VkInstance, const void *);
typedef VkResult (*_Nonnull PFN_vkEnumeratePhysicalDevices)(VkInstance, uint32_t *, VkPhysicalDevice *);
typedef void (*_Nonnull PFN_vkGetPhysicalDeviceProperties2)(VkPhysicalDevice, VkPhysicalDeviceProperties2 *);
typedef VkResult (*_Nonnull PFN_vkEnumerateDeviceExtensionProperties)(
    VkPhysicalDevice, const char *, uint32_t *, VkExtensionProperties *);
typedef void (*_Nonnull PFN_vkGetPhysicalDeviceQueueFamilyProperties)(VkPhysicalDevice, uint32_t *, VkQueueFamilyProperties *);
typedef void (*_Nonnull PFN_vkGetPhysicalDeviceMemoryProperties)(VkPhysicalDevice, VkPhysicalDeviceMemoryProperties *);
typedef void (*_Nonnull PFN_vkGetPhysicalDeviceExternalBufferProperties)(
    VkPhysicalDevice, const VkPhysicalDeviceExternalBufferInfo *, VkExternalBufferProperties *);
typedef void (*_Nonnull PFN_vkGetPhysicalDeviceExternalSemaphoreProperties)(
    VkPhysicalDevice, const VkPhysicalDeviceExternalSemaphoreInfo *, VkExternalSemaphoreProperties *);
typedef void (*_Nonnull PFN_vkGetPhysicalDeviceFormatProperties2)(VkPhysicalDevice, VkFormat, VkFormatProperties2 *);
typedef VkResult (*_Nonnull PFN_vkGetPhysicalDeviceImageFormatProperties2)(
    VkPhysicalDevice, const VkPhysicalDeviceImageFormatInfo2 *, VkImageFormatProperties2 *);
typedef VkResult (*_Nonnull PFN_vkCreateDevice)(VkPhysicalDevice, const VkDeviceCreateInfo *, const void *, VkDevice *);
typedef void (*_Nonnull PFN_vkDestroyDevice)(VkDevice, const void *);
typedef void (*_Nonnull PFN_vkGetDeviceQueue)(VkDevice, uint32_t, uint32_t, VkQueue *);
typedef VkResult (*_Nonnull PFN_vkAllocateMemory)(VkDevice, const VkMemoryAllocateInfo *, const void *, VkDeviceMemory *);
typedef void (*_Nonnull PFN_vkFreeMemory)(VkDevice, VkDeviceMemory, const void *);
typedef VkResult (*_Nonnull PFN_vkGetMemoryFdKHR)(VkDevice, const VkMemoryGetFdInfoKHR *, int *);
typedef VkResult (*_Nonnull PFN_vkGetMemoryFdPropertiesKHR)(VkDevice, VkFlags, int, VkMemoryFdPropertiesKHR *);
typedef VkResult (*_Nonnull PFN_vkCreateBuffer)(VkDevice, const VkBufferCreateInfo *, const void *, VkBuffer *);
typedef void (*_Nonnull PFN_vkDestroyBuffer)(VkDevice, VkBuffer, const void *);
typedef void (*_Nonnull PFN_vkGetBufferMemoryRequirements)(VkDevice, VkBuffer, VkMemoryRequirements *);
typedef VkResult (*_Nonnull PFN_vkBindBufferMemory)(VkDevice, VkBuffer, VkDeviceMemory, uint64_t);
typedef VkResult (*_Nonnull PFN_vkCreateImage)(VkDevice, const VkImageCreateInfo *, const void *, VkImage *);
typedef void (*_Nonnull PFN_vkDestroyImage)(VkDevice, VkImage, const void *);
typedef void (*_Nonnull PFN_vkGetImageMemoryRequirements)(VkDevice, VkImage, VkMemoryRequirements *);
typedef VkResult (*_Nonnull PFN_vkBindImageMemory)(VkDevice, VkImage, VkDeviceMemory, uint64_t);
typedef void (*_Nonnull PFN_vkGetImageSubresourceLayout)(VkDevice, VkImage, const VkImageSubresource *, VkSubresourceLayout *);
typedef VkResult (*_Nonnull PFN_vkGetImageDrmFormatModifierPropertiesEXT)(
    VkDevice, VkImage, VkImageDrmFormatModifierPropertiesEXT *);
typedef VkResult (*_Nonnull PFN_vkCreateCommandPool)(VkDevice, const VkCommandPoolCreateInfo *, const void *, VkCommandPool *);
typedef void (*_Nonnull PFN_vkDestroyCommandPool)(VkDevice, VkCommandPool, const void *);
typedef VkResult (*_Nonnull PFN_vkAllocateCommandBuffers)(VkDevice, const VkCommandBufferAllocateInfo *, VkCommandBuffer *);
typedef VkResult (*_Nonnull PFN_vkBeginCommandBuffer)(VkCommandBuffer, const VkCommandBufferBeginInfo *);
typedef VkResult (*_Nonnull PFN_vkEndCommandBuffer)(VkCommandBuffer);
typedef void (*_Nonnull PFN_vkCmdPipelineBarrier)(
    VkCommandBuffer, VkFlags sourceStages, VkFlags destinationStages, VkFlags flags, uint32_t, const void *, uint32_t,
    const VkBufferMemoryBarrier *, uint32_t, const VkImageMemoryBarrier *);
typedef void (*_Nonnull PFN_vkCmdCopyBuffer)(VkCommandBuffer, VkBuffer, VkBuffer, uint32_t, const VkBufferCopy *);
typedef void (*_Nonnull PFN_vkCmdCopyImage)(
    VkCommandBuffer, VkImage, int32_t sourceLayout, VkImage, int32_t destinationLayout, uint32_t, const VkImageCopy *);
typedef void (*_Nonnull PFN_vkCmdFillBuffer)(VkCommandBuffer, VkBuffer, uint64_t offset, uint64_t byteCount, uint32_t word);
typedef VkResult (*_Nonnull PFN_vkCreateSemaphore)(VkDevice, const VkSemaphoreCreateInfo *, const void *, VkSemaphore *);
typedef void (*_Nonnull PFN_vkDestroySemaphore)(VkDevice, VkSemaphore, const void *);
typedef VkResult (*_Nonnull PFN_vkImportSemaphoreFdKHR)(VkDevice, const VkImportSemaphoreFdInfoKHR *);
typedef VkResult (*_Nonnull PFN_vkGetSemaphoreFdKHR)(VkDevice, const VkSemaphoreGetFdInfoKHR *, int *);
typedef VkResult (*_Nonnull PFN_vkCreateFence)(VkDevice, const VkFenceCreateInfo *, const void *, VkFence *);
typedef void (*_Nonnull PFN_vkDestroyFence)(VkDevice, VkFence, const void *);
typedef VkResult (*_Nonnull PFN_vkWaitForFences)(VkDevice, uint32_t, const VkFence *, uint32_t all, uint64_t nanoseconds);
typedef VkResult (*_Nonnull PFN_vkQueueSubmit)(VkQueue, uint32_t, const VkSubmitInfo *, VkFence);

#ifdef __clang__
#pragma clang diagnostic pop
#endif

#endif
