package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Vault keeps files by name, such as 2026-08/7-ABCDEFGHIJ.jsonl.gz. A file is whole or not there. Get and Delete give
// ErrMissing when there is none.
type Vault interface {
	Put(ctx context.Context, name string, content []byte) error
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	Delete(ctx context.Context, name string) error
}

// Disk is a Vault in a folder.
type Disk struct{ Dir string }

func (d Disk) path(name string) string { return filepath.Join(d.Dir, filepath.FromSlash(name)) }

// Put writes beside, syncs and renames.
func (d Disk) Put(_ context.Context, name string, content []byte) error {
	to := d.path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone when it was renamed
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return fmt.Errorf("records: %w", err)
	}
	return syncDir(filepath.Dir(to))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get opens a file.
func (d Disk) Get(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	return f, nil
}

// Delete removes a file.
func (d Disk) Delete(_ context.Context, name string) error {
	err := os.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrMissing
	}
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	return nil
}

// S3 is a Vault in a bucket: PREFIX/NAME.
type S3 struct {
	client         *minio.Client
	bucket, prefix string
}

// S3Config says where a bucket is.
type S3Config struct {
	Endpoint, Bucket, Prefix, Region, AccessKey, SecretKey string
	Plain                                                  bool // HTTP instead of HTTPS
}

// NewS3 returns a vault; the bucket is asked only when it is used.
func NewS3(c S3Config) (*S3, error) {
	client, err := minio.New(c.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: !c.Plain, Region: c.Region})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return &S3{client, c.Bucket, c.Prefix}, nil
}

// Put stores a file.
func (s *S3) Put(ctx context.Context, name string, content []byte) error {
	_, err := s.client.PutObject(ctx, s.bucket, path.Join(s.prefix, name), bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{ContentType: "application/gzip"})
	if err != nil {
		return fmt.Errorf("s3: put: %w", err)
	}
	return nil
}

// Get opens a file.
func (s *S3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := s.client.GetObject(ctx, s.bucket, path.Join(s.prefix, name), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("s3: get: %w", err)
	}
	if _, err := o.Stat(); err != nil {
		_ = o.Close()
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			return nil, ErrMissing
		}
		return nil, fmt.Errorf("s3: get: %w", err)
	}
	return o, nil
}

// Delete removes a file; S3 does not say whether there was one.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := s.client.RemoveObject(ctx, s.bucket, path.Join(s.prefix, name), minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("s3: delete: %w", err)
	}
	return nil
}
