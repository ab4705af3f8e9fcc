/** What `kubectl explain` says of the metadata of objects. */
export const metaDescriptions: Readonly<Record<string, string>> = {
  annotations: 'Annotations are words of tools about the object, by name; nothing is selected by them.',
  creationTimestamp: 'CreationTimestamp is a timestamp: when the server made the object. Set by the server, in UTC.',
  deletionGracePeriodSeconds:
    'Seconds that the object was given to end gracefully. Set with deletionTimestamp, only made shorter.',
  deletionTimestamp:
    'When the object is to be gone; finalizers may hold it longer. Set by the server when a deletion is asked for.',
  finalizers: 'Names of those who must finish with the object before it goes; each takes its own name off.',
  generateName: 'Beginning of a name that the server makes unique, where no name is given.',
  generation: 'Counts the changes of what the object should be. Set by the server.',
  labels: 'Names and values by which objects are grouped and selected.',
  managedFields: 'Who manages which fields of the object. Kept by the server.',
  name: 'Unique in its namespace among objects of its kind; never changed.',
  namespace: 'The space within which the name is unique; empty for objects of the whole cluster.',
  ownerReferences: 'The objects that this one belongs to: when all of them are gone it is deleted.',
  resourceVersion: 'Names this state of the object. Only compared for equality, or handed back to the server.',
  selfLink: 'No longer set by servers.',
  uid: 'Unique over space and time. Set by the server when the object is made.',
};
