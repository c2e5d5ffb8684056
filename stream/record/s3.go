package record

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Config says where an S3 bucket is.
type S3Config struct {
	Endpoint  string // host:port
	Bucket    string // must exist
	Prefix    string // before every key, such as "recordings"
	Region    string // empty: asked of the server
	AccessKey string
	SecretKey string
	Plain     bool // HTTP instead of HTTPS
}

// S3 is a Store in a bucket: PREFIX/SESSION/NAME.
type S3 struct {
	client *minio.Client
	cfg    S3Config

	mu    sync.Mutex
	known map[string]About // descriptions by key: they never change
}

// maxKnown bounds the descriptions kept in memory.
const maxKnown = 10_000

// NewS3 returns a store; the bucket is asked only when it is used.
func NewS3(cfg S3Config) (*S3, error) {
	c, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: !cfg.Plain, Region: cfg.Region,
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return &S3{client: c, cfg: cfg, known: map[string]About{}}, nil
}

func (s *S3) key(session int64, name string) string {
	return path.Join(s.cfg.Prefix, strconv.FormatInt(session, 10), name)
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, session int64, name, file string) error {
	_, err := s.client.FPutObject(ctx, s.cfg.Bucket, s.key(session, name), file, minio.PutObjectOptions{ContentType: typeOf(name)})
	if err != nil {
		return fmt.Errorf("s3: put: %w", err)
	}
	return nil
}

// Get implements Store.
func (s *S3) Get(ctx context.Context, session int64, name string) (Content, int64, time.Time, error) {
	o, err := s.client.GetObject(ctx, s.cfg.Bucket, s.key(session, name), minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, time.Time{}, fmt.Errorf("s3: get: %w", err)
	}
	st, err := o.Stat()
	if err != nil {
		_ = o.Close()
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			return nil, 0, time.Time{}, ErrMissing
		}
		return nil, 0, time.Time{}, fmt.Errorf("s3: get: %w", err)
	}
	return o, st.Size, st.LastModified, nil
}

// List implements Store.
func (s *S3) List(ctx context.Context, session int64) ([]About, error) {
	var all []About
	for o := range s.client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: s.key(session, "") + "/", Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("s3: list: %w", o.Err)
		}
		if !strings.HasSuffix(o.Key, ".json") {
			continue
		}
		a, err := s.about(ctx, o.Key)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (s *S3) about(ctx context.Context, key string) (About, error) {
	s.mu.Lock()
	a, ok := s.known[key]
	s.mu.Unlock()
	if ok {
		return a, nil
	}
	o, err := s.client.GetObject(ctx, s.cfg.Bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return About{}, fmt.Errorf("s3: get: %w", err)
	}
	defer func() { _ = o.Close() }()
	b, err := io.ReadAll(io.LimitReader(o, 64<<10))
	if err != nil {
		return About{}, fmt.Errorf("s3: get: %w", err)
	}
	if a, err = readAbout(b); err != nil {
		return About{}, fmt.Errorf("s3: %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[key] = a
	return a, nil
}

func typeOf(name string) string {
	switch path.Ext(name) {
	case ".mp4":
		return "video/mp4"
	case ".jsonl":
		return "application/jsonl"
	}
	return "application/json"
}
